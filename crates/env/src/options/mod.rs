//! Worlds for methods that find options by themselves, and one to use the options in.
//!
//! After Achiam et al., *Variational Option Discovery Algorithms* (2018), section 6 and appendix. Nothing is to be gained in them, and no
//! episode terminates: a path's likelihood under an option is a trade between options only where all paths are equally long. The paper
//! trains on 250 steps (`episode_steps=250`) and evaluates on 1,000; its Hand and Toddler are not here: the first needs the meshes of
//! another package, the second was never published.

mod ant_maze;
mod point;
pub mod robots;

pub use ant_maze::AntMaze;
pub use point::OptionPoint;
