//! How fast the bare physics is on this machine: `cargo run --release -p tony-mujoco --example speed`.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use tony_mujoco::{Model, Simulation, locate};

const XML: &str = r#"<mujoco model="speed">
  <option timestep="0.002"/>
  <worldbody>
    <geom type="plane" size="5 5 0.1"/>
    <body name="ball" pos="0 0 0.1">
      <joint type="slide" axis="1 0 0" damping="0.01"/><joint type="slide" axis="0 1 0" damping="0.01"/>
      <joint type="hinge" axis="0 0 1" damping="0.005"/>
      <geom type="sphere" size="0.1"/>
    </body>
  </worldbody>
</mujoco>"#;

fn main() -> Result<(), tony_mujoco::Error> {
    let start = Instant::now();
    let library = locate(false, &mut |line| println!("{line}"))?;
    println!("locate: {:.1} ms", 1e3 * start.elapsed().as_secs_f64());
    let start = Instant::now();
    tony_mujoco::Library::open(library.path())?;
    println!("of which open and prove, once more: {:.1} ms", 1e3 * start.elapsed().as_secs_f64());
    let start = Instant::now();
    let model = Model::from_xml(&library, XML)?;
    println!("compile: {:.2} ms", 1e3 * start.elapsed().as_secs_f64());
    let mut simulation = Simulation::new(model)?;
    let steps = 200_000;
    let start = Instant::now();
    simulation.steps(steps)?;
    println!("steps: {:.3} us each", 1e6 * start.elapsed().as_secs_f64() / steps as f64);
    Ok(())
}
