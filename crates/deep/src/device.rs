//! Where the tensors of a network that learns are.

use burn_tensor::Device;
#[cfg(any(feature = "cuda", feature = "wgpu"))]
use burn_tensor::DeviceType;

use crate::{Error, Result};

/// What computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The processor.
    Cpu,
    /// The first of Nvidia's devices, in builds with the feature `cuda`.
    Cuda,
    /// The first graphics device through Vulkan, Metal or DirectX, in builds with the feature `wgpu`.
    Wgpu,
}

impl Place {
    /// Its name, which is also that of the feature.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Wgpu => "wgpu",
        }
    }

    /// The first device of this kind. Fails if the build has none of these, or the machine.
    pub(crate) fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::flex()),
            #[cfg(feature = "cuda")]
            Self::Cuda => self.first(DeviceType::Cuda),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => self.first(DeviceType::Wgpu),
            #[cfg(not(all(feature = "cuda", feature = "wgpu")))]
            _ => Err(Error::NotBuilt(self.name())),
        }
    }

    /// Drivers that are not there make some backends panic, which is no more than an answer here.
    #[cfg(any(feature = "cuda", feature = "wgpu"))]
    fn first(self, kind: DeviceType) -> Result<Device> {
        let found = std::panic::catch_unwind(|| Device::enumerate(kind).into_vec());
        found.ok().and_then(|found| found.into_iter().next()).ok_or(Error::NoDevice(self.name()))
    }
}
