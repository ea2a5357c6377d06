//! A model whose parameters are learned, with its tokenizer and template.

use std::path::Path;

use tony_deep::Place;
use tony_deep::decoder::{Adaptation, Network};
use tony_run::{Archive, Plan, RunFolder, choices, settings};

use crate::model::Parts;
use crate::{ChatTemplate, Error, Result, Tokenizer, find_model};

choices! {
    /// Which parameters are learned.
    pub enum Adapt {
        /// All.
        Full = "full",
        /// Two narrow matrices beside each matrix of a layer (LoRA).
        Lora = "lora",
    }
}

choices! {
    /// What computes gradients.
    pub enum Device {
        /// The processor.
        Cpu = "cpu",
        /// Nvidia's devices.
        Cuda = "cuda",
        /// Graphics devices.
        Wgpu = "wgpu",
    }
}

settings! {
    /// The model
    pub struct Config {
        /// The model to begin from: a Hugging Face folder, a GGUF file, a run folder, or a name that `tony doctor` shows.
        "model" model: String = "smollm2-135m".to_owned();
        /// Which parameters are learned: full (all) or lora (two narrow matrices beside each matrix of a layer).
        "adapt" adapt: Adapt = Adapt::Lora;
        /// Rank of the narrow matrices (lora).
        "lora.rank" rank: usize = 16, (1..=1024);
        /// The narrow matrices' product is scaled by this over the rank (lora).
        "lora.alpha" alpha: f64 = 32.0, (1e-3..=1e4);
        /// Compute each layer once more when going back instead of keeping it: a fraction of the memory, a third more work.
        "recompute" recompute: bool = false;
        /// What computes gradients: cpu, or cuda or wgpu in a build with the feature of this name. Answers are written on the processor.
        "device" device: Device = Device::Cpu;
    }
}

impl From<Device> for Place {
    fn from(device: Device) -> Self {
        match device {
            Device::Cpu => Self::Cpu,
            Device::Cuda => Self::Cuda,
            Device::Wgpu => Self::Wgpu,
        }
    }
}

/// A model that learns.
#[derive(Debug)]
pub struct Learner {
    /// What computes.
    pub network: Network,
    /// What is learned.
    pub params: Vec<f32>,
    /// Text to tokens and back.
    pub tokenizer: Tokenizer,
    /// Messages to tokens.
    pub template: Option<ChatTemplate>,
}

/// The learned parameters in a checkpoint.
const PARAMS: &str = "policy.params";

impl Learner {
    /// The model that a plan names, before any training.
    pub fn new(plan: &Plan, seed: u64) -> Result<Self> {
        let config: Config = plan.group()?;
        Self::open(&config, seed, config.device.into())
    }

    fn open(config: &Config, seed: u64, place: Place) -> Result<Self> {
        let Parts { file, tokenizer, template } = Parts::open(&find_model(&config.model)?)?;
        let adaptation = match config.adapt {
            Adapt::Full => Adaptation::Full,
            Adapt::Lora => Adaptation::LowRank { rank: config.rank, alpha: config.alpha as f32 },
        };
        let (mut network, params) = Network::open(&file, adaptation, seed, place)?;
        network.recompute = config.recompute;
        Ok(Self { network, params, tokenizer, template })
    }

    /// The model of a run folder, as its newest checkpoint has it.
    pub fn of_run(run: &Path) -> Result<Self> {
        let view = RunFolder::open_read(run)?;
        let loaded = view.latest()?.ok_or_else(|| Error::Invalid {
            what: format!("{} has no checkpoint yet", run.display()),
            hint: format!("tony resume {}", run.display()),
        })?;
        Self::saved(view.plan(), &loaded.policy)
    }

    /// The model of a plan, as a checkpoint has it; on the processor, wherever it learned.
    pub(crate) fn saved(plan: &Plan, archive: &Archive) -> Result<Self> {
        let mut learner = Self::open(&plan.group()?, 0, Place::Cpu)?;
        learner.load(archive)?;
        Ok(learner)
    }

    /// Its parts as they are now, to run or to save.
    pub(crate) fn into_parts(self) -> Result<Parts> {
        let file = self.network.merged(&self.params)?;
        Ok(Parts { file, tokenizer: self.tokenizer, template: self.template })
    }

    /// Write what is learned.
    pub fn save(&self, archive: &mut Archive) -> Result<()> {
        Ok(archive.put_f32(PARAMS, &[self.params.len()], &self.params)?)
    }

    /// Read back what [`Learner::save`] wrote.
    pub fn load(&mut self, archive: &Archive) -> Result<()> {
        self.params = archive.f32(PARAMS, &[self.params.len()])?;
        Ok(())
    }
}
