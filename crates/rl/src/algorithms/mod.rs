//! The algorithms: one file each, one line each below.

pub mod cpo;
pub mod ddpg;
pub mod diayn;
pub mod dqn;
pub mod empi;
pub mod grpo;
pub mod pid_lagrangian;
pub mod ppo;
pub mod preqn;
mod presets;
pub mod rloo;
pub mod sac;
pub mod surprise;
pub mod td3;
pub mod trpo;
pub mod valor;
pub mod vic;

use tony_run::{Field, Layer, Plan, Settings, nearest};

use crate::actor_critic::{self, Constrained};
use crate::algorithm::{Algorithm, Start};
use crate::{Error, Result, constraint, critic, grouped, options, train, trust_region};
use pid_lagrangian::PidLagrangian;
pub use presets::Preset;

/// What `tony list algos` shows of an algorithm, and how to build it.
pub struct Entry {
    /// Name on the command line.
    pub name: &'static str,
    /// Name in words.
    pub title: &'static str,
    /// Kind of algorithm.
    pub family: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// Where it was published.
    pub paper: &'static str,
    /// Named sets of settings; the first is the default.
    pub presets: &'static [Preset],
    groups: &'static [&'static [fn() -> Vec<Field>]],
    build: fn(&Plan, Start) -> Result<Box<dyn Algorithm>>,
}

/// Groups of settings that every on-policy algorithm has.
const ON_POLICY: &[fn() -> Vec<Field>] = &[
    train::Config::fields,
    constraint::Config::fields,
    actor_critic::Networks::fields,
    actor_critic::Config::fields,
    critic::Config::fields,
    surprise::Config::fields,
];

/// Groups of settings that every algorithm without critics has.
const GROUPED: &[fn() -> Vec<Field>] =
    &[train::Config::fields, constraint::Config::fields, actor_critic::Networks::fields, grouped::Config::fields];

const PPO: &[fn() -> Vec<Field>] = &[ppo::Config::fields];
const TRPO: &[fn() -> Vec<Field>] = &[trust_region::Config::fields];
const EMPI: &[fn() -> Vec<Field>] = &[empi::Config::fields];
const PPO_LAGRANGIAN: &[fn() -> Vec<Field>] = &[ppo::Config::fields, pid_lagrangian::Config::fields];
const TRPO_LAGRANGIAN: &[fn() -> Vec<Field>] = &[trust_region::Config::fields, pid_lagrangian::Config::fields];

/// Groups of settings that every option-discovery algorithm has.
const OPTIONS: &[fn() -> Vec<Field>] = &[train::Config::fields, options::Config::fields];
const PATH_DECODER: &[fn() -> Vec<Field>] = &[valor::Config::fields];
const STATE_DECODER: &[fn() -> Vec<Field>] = &[vic::Config::fields];
/// Largest logarithm of a ratio of probabilities, either way, where products of many could leave what a number holds.
const LOG_RATIO: f32 = 20.0;
/// The key that asks for a bonus.
const SURPRISE: &str = "surprise";

/// Every algorithm.
const ENTRIES: &[Entry] = &[
    Entry {
        name: "ppo",
        title: "Proximal Policy Optimization",
        family: "on-policy",
        summary: "clipped surrogate, several passes a batch; ignores costs",
        paper: "Schulman et al. 2017",
        presets: presets::PPO,
        groups: &[ON_POLICY, PPO],
        build: |plan, start| Ok(Box::new(ppo::Ppo::new(plan, start, Constrained::No)?)),
    },
    Entry {
        name: "ppo-lag",
        title: "PPO-Lagrangian",
        family: "constrained on-policy",
        summary: "PPO on reward minus multiplier times cost; the multiplier integrates the violation",
        paper: "Ray et al. 2019",
        presets: presets::PPO_LAG,
        groups: &[ON_POLICY, PPO_LAGRANGIAN],
        build: |plan, start| lagrangian(Box::new(ppo::Ppo::new(plan, start, Constrained::Yes)?), plan),
    },
    Entry {
        name: "ppo-pid",
        title: "PPO with a PID Lagrangian controller",
        family: "constrained on-policy",
        summary: "PPO-Lagrangian whose multiplier also reacts to the size and the rise of the cost",
        paper: "Stooke et al. 2020",
        presets: presets::PPO_PID,
        groups: &[ON_POLICY, PPO_LAGRANGIAN],
        build: |plan, start| lagrangian(Box::new(ppo::Ppo::new(plan, start, Constrained::Yes)?), plan),
    },
    Entry {
        name: "trpo",
        title: "Trust Region Policy Optimization",
        family: "on-policy",
        summary: "one natural-gradient step a batch inside a KL limit; ignores costs",
        paper: "Schulman et al. 2015",
        presets: presets::TRPO,
        groups: &[ON_POLICY, TRPO],
        build: |plan, start| Ok(Box::new(trpo::Trpo::new(plan, start, Constrained::No)?)),
    },
    Entry {
        name: "trpo-lag",
        title: "TRPO-Lagrangian",
        family: "constrained on-policy",
        summary: "TRPO on reward minus multiplier times cost; the multiplier integrates the violation",
        paper: "Ray et al. 2019",
        presets: presets::TRPO_LAG,
        groups: &[ON_POLICY, TRPO_LAGRANGIAN],
        build: |plan, start| lagrangian(Box::new(trpo::Trpo::new(plan, start, Constrained::Yes)?), plan),
    },
    Entry {
        name: "trpo-pid",
        title: "TRPO with a PID Lagrangian controller",
        family: "constrained on-policy",
        summary: "TRPO-Lagrangian whose multiplier also reacts to the size and the rise of the cost",
        paper: "Stooke et al. 2020",
        presets: presets::TRPO_PID,
        groups: &[ON_POLICY, TRPO_LAGRANGIAN],
        build: |plan, start| lagrangian(Box::new(trpo::Trpo::new(plan, start, Constrained::Yes)?), plan),
    },
    Entry {
        name: "cpo",
        title: "Constrained Policy Optimization",
        family: "constrained on-policy",
        summary: "trust-region step that keeps the cost's linear model within its limit",
        paper: "Achiam et al. 2017",
        presets: presets::CPO,
        groups: &[ON_POLICY, TRPO],
        build: |plan, start| Ok(Box::new(cpo::Cpo::new(plan, start)?)),
    },
    Entry {
        name: "empi",
        title: "Easy Monotonic Policy Iteration",
        family: "on-policy",
        summary: "ascent on a lower bound of the improvement, kept only where the bound holds on the batch; ignores costs",
        paper: "Achiam 2016",
        presets: presets::EMPI,
        groups: &[ON_POLICY, EMPI],
        build: |plan, start| Ok(Box::new(empi::Empi::new(plan, start)?)),
    },
    rloo::ENTRY,
    grpo::ENTRY,
    dqn::ENTRY,
    ddpg::ENTRY,
    td3::ENTRY,
    sac::ENTRY,
    preqn::ENTRY,
    Entry {
        name: "valor",
        title: "Variational Autoencoding Learning of Options by Reinforcement",
        family: "option discovery",
        summary: "options that a decoder can tell apart by how a path moves",
        paper: "Achiam et al. 2018",
        presets: presets::VALOR,
        groups: &[OPTIONS, PATH_DECODER],
        build: |plan, start| Ok(Box::new(valor::Valor::new(plan, start)?)),
    },
    Entry {
        name: "vic",
        title: "Variational Intrinsic Control",
        family: "option discovery",
        summary: "options that a decoder can tell apart by where a path ends",
        paper: "Gregor et al. 2016",
        presets: presets::VIC,
        groups: &[OPTIONS, STATE_DECODER],
        build: |plan, start| Ok(Box::new(vic::Vic::new(plan, start)?)),
    },
    Entry {
        name: "diayn",
        title: "Diversity Is All You Need",
        family: "option discovery",
        summary: "options that a decoder can tell apart by each state",
        paper: "Eysenbach et al. 2019",
        presets: presets::DIAYN,
        groups: &[OPTIONS, STATE_DECODER],
        build: |plan, start| Ok(Box::new(diayn::Diayn::new(plan, start)?)),
    },
];

fn lagrangian(inner: Box<dyn Algorithm>, plan: &Plan) -> Result<Box<dyn Algorithm>> {
    Ok(Box::new(PidLagrangian::new(inner, plan)?))
}

/// Every algorithm there is.
pub fn list() -> &'static [Entry] {
    ENTRIES
}

/// The algorithm called `name`.
pub fn find(name: &str) -> Result<&'static Entry> {
    if name == SURPRISE {
        return Err(Error::Invalid {
            what: "surprise is a bonus on top of an on-policy algorithm, not an algorithm".to_owned(),
            hint: "tony train trpo ENV surprise=surprisal".to_owned(),
        });
    }
    ENTRIES.iter().find(|entry| entry.name == name).ok_or_else(|| Error::UnknownAlgorithm {
        name: name.to_owned(),
        nearest: nearest(name, ENTRIES.iter().map(|entry| entry.name)).map(str::to_owned),
    })
}

impl Entry {
    /// Every setting, with its documentation. The defaults shown are this algorithm's own (its first preset's).
    pub fn fields(&self) -> Vec<Field> {
        let mut fields: Vec<Field> = self.groups.iter().copied().flatten().flat_map(|group| group()).collect();
        for (key, value) in self.presets[0].entries() {
            for field in fields.iter_mut().filter(|field| field.key == *key) {
                field.defaults = vec![((*key).to_owned(), (*value).to_owned())];
            }
        }
        fields
    }

    /// Lay a settings file and the command line over the preset that they choose (`preset=NAME`), and that over the defaults.
    pub fn resolve(&self, env: &str, layers: &[Layer]) -> Result<Plan> {
        let fields = self.fields();
        let asks = |layer: &Layer| layer.entries.iter().any(|(key, _)| key == SURPRISE || key.starts_with("surprise."));
        if layers.iter().any(asks) && !self.takes_surprise() {
            let able = ENTRIES.iter().filter(|entry| entry.takes_surprise()).map(|entry| entry.name);
            return Err(Error::Invalid {
                what: format!("{} takes no surprise bonus: only on-policy algorithms do", self.name),
                hint: format!("leave `surprise` out, or use one of {}", able.collect::<Vec<_>>().join(", ")),
            });
        }
        let chosen = Plan::resolve(self.name, env, &fields, layers)?;
        let name = chosen.get("preset").unwrap_or_default();
        let preset = self.presets.iter().find(|preset| preset.name == name).ok_or_else(|| Error::UnknownPreset {
            name: name.to_owned(),
            algorithm: self.name,
            known: self.presets.iter().map(|preset| preset.name).collect::<Vec<_>>().join(", "),
        })?;
        let mut all = vec![Layer::preset(preset.name, preset.entries())];
        all.extend_from_slice(layers);
        Ok(Plan::resolve(self.name, env, &fields, if preset.name == self.presets[0].name { layers } else { &all })?)
    }

    /// Build the algorithm.
    pub fn build(&self, plan: &Plan, start: Start) -> Result<Box<dyn Algorithm>> {
        surprise::wrap((self.build)(plan, start)?, plan, start)
    }

    /// Can it be wrapped by [`surprise`]?
    fn takes_surprise(&self) -> bool {
        self.fields().iter().any(|field| field.key == SURPRISE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bonus_for_an_algorithm_that_cannot_take_it_is_refused_and_names_who_can() {
        let entry = Entry { name: "other", presets: presets::TRPO, groups: &[TRPO], ..*find_entry("trpo") };
        for word in ["surprise=progress", "surprise.eta=1"] {
            let error = entry.resolve("probe-action", &[Layer::command_line(&[word]).unwrap()]).unwrap_err();
            assert!(error.to_string().contains("other takes no surprise bonus"), "{error}");
            assert!(error.hint().unwrap().contains("ppo, ppo-lag"), "{:?}", error.hint());
        }
    }

    fn find_entry(name: &str) -> &'static Entry {
        find(name).unwrap_or_else(|error| panic!("{error}"))
    }
}
