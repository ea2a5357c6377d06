//! What the binding computes, against closed forms and against itself.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::process::Command;

use tony_mujoco::{Error, Kind, Library, Model, Quantity, Simulation};

/// The library, or nothing where it cannot be had.
fn library() -> Option<Library> {
    match tony_mujoco::locate(false, &mut |line| println!("{line}")) {
        Ok(library) => Some(library),
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}

/// A ball that hangs free above a floor, a hinged rod with a site, a weld to a mocap body, one motor.
const XML: &str = r#"<mujoco model="scene">
  <option timestep="0.002"/>
  <size nuserdata="2"/>
  <worldbody>
    <geom name="floor" type="plane" size="5 5 0.1"/>
    <body name="ball" pos="1 0 2"><freejoint name="ball"/><geom name="ball" type="sphere" size="0.1" mass="1"/></body>
    <body name="rod" pos="0 0 1">
      <joint name="hinge" type="hinge" axis="0 0 1"/>
      <geom name="rod" type="capsule" fromto="0 0 0 0.5 0 0" size="0.02" mass="0.5"/>
      <site name="tip" pos="0.5 0 0"/>
    </body>
    <body name="ghost" mocap="true" pos="3 0 0.5"><geom name="ghost" type="box" size="0.1 0.1 0.1" contype="0" conaffinity="0"/></body>
  </worldbody>
  <actuator><motor name="motor" joint="hinge" gear="0.1" ctrlrange="-1 1"/></actuator>
  <sensor><gyro name="gyro" site="tip"/><framepos name="place" objtype="site" objname="tip"/></sensor>
</mujoco>"#;

fn scene() -> Option<Simulation> {
    Some(Simulation::new(Model::from_xml(&library()?, XML).unwrap()).unwrap())
}

fn bits(simulation: &Simulation) -> Vec<u64> {
    let mut state = vec![0.0; simulation.state_len()];
    simulation.get_state(&mut state);
    state.iter().map(|number| number.to_bits()).collect()
}

#[test]
fn a_ball_falls_as_semi_implicit_euler_says() {
    let Some(mut simulation) = scene() else { return };
    let n = 100;
    simulation.steps(n).unwrap();
    let (h, n) = (simulation.model().timestep(), n as f64);
    // v_n = -g h n and z_n = z_0 + h (v_1 + ... + v_n); 100 additions of rounded numbers stay far below 1e-12.
    assert!((simulation.qvel()[2] + 9.81 * h * n).abs() < 1e-12);
    assert!((simulation.qpos()[2] - (2.0 - 9.81 * h * h * n * (n + 1.0) / 2.0)).abs() < 1e-12);
    assert!((simulation.time() - 0.2).abs() < 1e-12);
    assert_eq!(simulation.steps_made(), 100);
}

#[test]
fn a_ball_rests_on_the_floor_with_its_weight() {
    let Some(mut simulation) = scene() else { return };
    simulation.qpos_mut()[2] = 0.1;
    simulation.steps(2000).unwrap();
    assert_eq!(simulation.contacts().len(), 1);
    let contact = simulation.contacts().next().unwrap();
    let model = simulation.model();
    assert_eq!(
        (contact.geom1, contact.geom2),
        (model.id(Kind::Geom, "floor").unwrap(), model.id(Kind::Geom, "ball").unwrap())
    );
    assert_eq!(contact.frame[..3], [0.0, 0.0, 1.0]);
    assert_eq!((contact.dim, contact.exclude, contact.efc_address), (3, 0, 0));
    // Soft contacts sink a little; at rest the normal force is the weight to the solver's tolerance.
    assert!(contact.dist < 0.0 && contact.dist > -1e-2);
    assert!((simulation.contact_force(0)[0] - 9.81).abs() < 1e-6);
    assert_eq!(simulation.nefc(), 4, "a pyramidal contact in three dimensions has four rows");
}

#[test]
fn objects_have_names_and_sensors_have_places() {
    let Some(mut simulation) = scene() else { return };
    let model = simulation.model();
    assert_eq!(model.name_of_model(), "scene");
    let tip = model.id(Kind::Site, "tip").unwrap();
    assert_eq!(model.name(Kind::Site, tip), "tip");
    assert_eq!(model.name(Kind::Site, 99), "");
    assert_eq!(model.find(Kind::Body, "nobody"), None);
    assert_eq!(model.find(Kind::Body, "zero\0byte"), None);
    let message = model.id(Kind::Actuator, "wheel").unwrap_err().to_string();
    assert_eq!(message, "the model `scene` has no actuator called `wheel`");
    assert_eq!(model.sensor_range("place").unwrap(), 3..6);
    simulation.qvel_mut()[6] = 2.0;
    simulation.forward().unwrap();
    assert_eq!(simulation.sensordata(), [0.0, 0.0, 2.0, 0.5, 0.0, 1.0]);
}

#[test]
fn a_turning_rod_has_the_velocity_of_a_turning_rod() {
    let Some(mut simulation) = scene() else { return };
    simulation.qpos_mut()[7] = std::f64::consts::FRAC_PI_2;
    simulation.qvel_mut()[6] = 2.0;
    simulation.forward().unwrap();
    let tip = simulation.model().id(Kind::Site, "tip").unwrap();
    let rod = simulation.model().id(Kind::XBody, "rod").unwrap();
    // The tip is at (0, 0.5, 1) and moves with w x r = (-1, 0, 0); its own x axis points along the rod. Sine and cosine of
    // a right angle are rounded: 1e-15.
    let close = |found: [f64; 6], known: [f64; 6]| found.iter().zip(known).all(|(a, b)| (a - b).abs() < 1e-15);
    assert!(close(simulation.object_velocity(Kind::Site, tip, false), [0.0, 0.0, 2.0, -1.0, 0.0, 0.0]));
    assert!(close(simulation.object_velocity(Kind::Site, tip, true), [0.0, 0.0, 2.0, 0.0, 1.0, 0.0]));
    assert!(close(simulation.object_velocity(Kind::XBody, rod, false), [0.0, 0.0, 2.0, 0.0, 0.0, 0.0]));
    let nv = simulation.model().nv();
    let (mut position, mut rotation) = (vec![0.0; 3 * nv], vec![0.0; 3 * nv]);
    simulation.jacobian(Kind::Site, tip, &mut position, &mut rotation);
    let column = |jacobian: &[f64]| [jacobian[6], jacobian[nv + 6], jacobian[2 * nv + 6]];
    assert!(column(&position).iter().zip([-0.5, 0.0, 0.0]).all(|(a, b)| (a - b).abs() < 1e-15));
    assert_eq!(column(&rotation), [0.0, 0.0, 1.0]);
    simulation.subtree_vel();
    // Half a kilogram, its centre at a quarter of a metre, 2 rad/s.
    assert!((simulation.subtree_linvel()[3 * rod] + 0.5).abs() < 1e-15);
}

#[test]
fn distances_between_geoms() {
    let Some(mut simulation) = scene() else { return };
    simulation.forward().unwrap();
    let id = |name| simulation.model().id(Kind::Geom, name).unwrap();
    let (floor, ball, ghost) = (id("floor"), id("ball"), id("ghost"));
    let (distance, segment) = simulation.geom_distance(floor, ball, 10.0);
    assert!((distance - 1.9).abs() < 1e-12);
    assert!((segment[2] - 0.0).abs() < 1e-12 && (segment[5] - 1.9).abs() < 1e-12);
    assert_eq!(simulation.geom_distance(floor, ball, 1.0).0, 1.0, "not beyond the given distance");
    // The convex collision solver stops at 1e-6.
    let gap = (1.9_f64.powi(2) + 1.4_f64.powi(2)).sqrt() - 0.1;
    assert!((simulation.geom_distance(ball, ghost, 10.0).0 - gap).abs() < 1e-5);
}

#[test]
fn the_model_can_be_moved_without_compiling_again() {
    let Some(mut simulation) = scene() else { return };
    let (rod, ghost) = {
        let model = simulation.model();
        (model.id(Kind::Body, "rod").unwrap(), model.id(Kind::Body, "ghost").unwrap())
    };
    let copy = simulation.model().clone();
    simulation.model_mut().body_pos_mut()[3 * rod..3 * rod + 3].copy_from_slice(&[-1.0, 2.0, 3.0]);
    simulation.mocap_pos_mut().copy_from_slice(&[4.0, 5.0, 6.0]);
    // The ball's geom sits exactly in its body's frame, which the compiler notes as a short cut.
    let ball = simulation.model().id(Kind::Geom, "ball").unwrap();
    simulation.model_mut().set_geom_frame(ball, [0.25, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]);
    let tip = simulation.model().id(Kind::Site, "tip").unwrap();
    simulation.model_mut().set_site_frame(tip, [0.0; 3], [1.0, 0.0, 0.0, 0.0]);
    simulation.forward().unwrap();
    assert_eq!(simulation.xpos()[3 * rod..3 * rod + 3], [-1.0, 2.0, 3.0]);
    assert_eq!(simulation.xpos()[3 * ghost..3 * ghost + 3], [4.0, 5.0, 6.0]);
    assert_eq!(simulation.geom_xpos()[3 * ball..3 * ball + 3], [1.25, 0.0, 2.0]);
    assert_eq!(simulation.site_xpos()[3 * tip..3 * tip + 3], [-1.0, 2.0, 3.0]);
    assert_eq!(copy.body_pos()[3 * rod..3 * rod + 3], [0.0, 0.0, 1.0], "a clone is a deep copy");
}

#[test]
fn derived_constants_follow_the_default_pose() {
    let Some(mut simulation) = scene() else { return };
    let before = simulation.model().statistics();
    simulation.qvel_mut()[0] = 1.0;
    simulation.set_const();
    assert_eq!(simulation.model().statistics(), before, "nothing was moved");
    simulation.model_mut().body_mass_mut()[1] = 3.0;
    simulation.set_const();
    assert!(simulation.model().statistics().meaninertia > before.meaninertia);
    assert!((simulation.model().body_subtreemass()[1] - 3.0).abs() < 1e-15);
}

#[test]
fn equal_states_have_equal_futures() {
    let Some(mut simulation) = scene() else { return };
    simulation.qpos_mut()[2] = 0.15;
    simulation.ctrl_mut()[0] = 0.3;
    simulation.userdata_mut()[1] = 7.0;
    simulation.steps(50).unwrap();
    let mut state = vec![0.0; simulation.state_len()];
    simulation.get_state(&mut state);
    simulation.steps(100).unwrap();
    let (future, later) = (bits(&simulation), simulation.qpos().to_vec());
    simulation.reset();
    assert_eq!((simulation.time(), simulation.userdata()[1]), (0.0, 0.0));
    simulation.set_state(&state).unwrap();
    assert_eq!((simulation.ctrl()[0], simulation.userdata()[1]), (0.3, 7.0));
    simulation.steps(100).unwrap();
    assert_eq!(bits(&simulation), future);
    assert_eq!(simulation.qpos(), later);
    let error = simulation.set_state(&state[1..]).unwrap_err().to_string();
    let (length, short) = (state.len(), state.len() - 1);
    assert_eq!(error, format!("a state of the model `scene` has {length} numbers, not {short}"));
}

#[test]
fn advancing_from_forward_is_stepping() {
    let Some(library) = library() else { return };
    for integrator in ["Euler", "RK4"] {
        let xml = XML.replace("<option ", &format!("<option integrator=\"{integrator}\" "));
        let make = || Simulation::new(Model::from_xml(&library, &xml).unwrap()).unwrap();
        let (mut ours, mut plain) = (make(), make());
        ours.forward().unwrap();
        // The ball lands after 0.6 s: 60 rounds of 20 ms go through flight, impact and rest.
        for round in 0..60 {
            for simulation in [&mut ours, &mut plain] {
                simulation.ctrl_mut()[0] = f64::from(round).sin();
            }
            ours.advance(10).unwrap();
            plain.steps(10).unwrap();
            ours.forward().unwrap();
            plain.forward().unwrap();
            assert_eq!(bits(&ours), bits(&plain), "{integrator}, round {round}");
            assert_eq!(ours.sensordata(), plain.sensordata());
        }
        assert_eq!(ours.steps_made(), 600);
        // An error on the way leaves sensors as they were: read.
        ours.ctrl_mut()[0] = f64::NAN;
        ours.advance(2).unwrap_err();
        assert_eq!(ours.model().options().disableflags, 0);
    }
}

#[test]
fn threads_change_no_bit() {
    let Some(library) = library() else { return };
    let run = |library: &Library| {
        let mut simulation = Simulation::new(Model::from_xml(library, XML).unwrap()).unwrap();
        simulation.qpos_mut()[2] = 0.12;
        simulation.ctrl_mut()[0] = -0.5;
        simulation.steps(300).unwrap();
        simulation
    };
    let alone = bits(&run(&library));
    let together: Vec<Simulation> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| run(&library))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for mut simulation in together {
        assert_eq!(bits(&simulation), alone);
        // Made on another thread, goes on on this one.
        simulation.step().unwrap();
    }
}

#[test]
fn broken_models_say_what_is_broken() {
    let Some(library) = library() else { return };
    let message = |xml: &str| Model::from_xml(&library, xml).unwrap_err().to_string();
    let text = message(r#"<mujoco model="typo"><worldbody><body><goem/></body></worldbody></mujoco>"#);
    assert!(text.starts_with("MuJoCo cannot load the model `typo`: ") && text.contains("goem"), "{text}");
    let text = message(r#"<mujoco><worldbody><body name="light"><freejoint/></body></worldbody></mujoco>"#);
    assert!(text.contains("`unnamed`") && text.contains("light"), "{text}");
    assert!(message("nonsense").contains("cannot load"));
    assert!(message("zero\0byte").contains("zero byte"));
    let delayed = XML.replace("gear=\"0.1\"", "gear=\"0.1\" delay=\"0.1\" nsample=\"60\"");
    assert!(message(&delayed).contains("delays, plugins and flexes are not supported"), "{}", message(&delayed));
}

/// Writes one bad number.
type Spoil = fn(&mut Simulation);

#[test]
fn bad_numbers_become_errors_that_name_them() {
    let Some(mut simulation) = scene() else { return };
    simulation.set_context("seed 7");
    let cases: [(Spoil, Quantity, i32); 3] = [
        (|s| s.qpos_mut()[1] = f64::NAN, Quantity::Qpos, 1),
        (|s| s.qvel_mut()[3] = 1e11, Quantity::Qvel, 3),
        (|s| s.ctrl_mut()[0] = f64::NAN, Quantity::Ctrl, 0),
    ];
    for (spoil, quantity, index) in cases {
        simulation.reset();
        simulation.step().unwrap();
        let steps = simulation.steps_made();
        spoil(&mut simulation);
        let error = simulation.steps(5).unwrap_err();
        let Error::Warning { warning, .. } = &error else { panic!("{error}") };
        assert_eq!((warning.quantity, warning.index), (quantity, index));
        assert_eq!(simulation.steps_made(), steps + 1, "stops at the first warning");
        assert!(error.to_string().contains("in the model `scene`, seed 7, after"), "{error}");
    }
    simulation.reset();
    simulation.steps(10).unwrap();
}

#[test]
fn full_lists_become_errors_that_name_them() {
    let Some(library) = library() else { return };
    // Sixty balls on one body, all in the floor: their contacts take 35 kB of memory.
    let ball = |i| format!(r#"<geom type="sphere" size="0.1" pos="{i} 0 0"/>"#);
    let balls: String = (0..60).map(ball).collect();
    for (memory, quantity) in [("30K", Quantity::Contacts), ("60K", Quantity::Constraints)] {
        let xml = format!(
            r#"<mujoco model="crowd"><size memory="{memory}"/><worldbody><geom type="plane" size="9 9 1"/>
               <body pos="0 0 0.09"><freejoint/>{balls}</body></worldbody></mujoco>"#
        );
        let mut simulation = Simulation::new(Model::from_xml(&library, &xml).unwrap()).unwrap();
        for _ in 0..2 {
            let error = simulation.forward().unwrap_err();
            let Error::Warning { warning, .. } = &error else { panic!("{error}") };
            assert_eq!(warning.quantity, quantity);
            assert!(error.to_string().contains("give the model more memory"));
        }
    }
}

#[test]
fn out_of_range_panics_instead_of_reading_elsewhere() {
    let Some(mut simulation) = scene() else { return };
    simulation.forward().unwrap();
    let panics = |call: &dyn Fn(&mut Simulation)| {
        let mut simulation = Simulation::new(simulation.model().clone()).unwrap();
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| call(&mut simulation))).is_err()
    };
    assert!(panics(&|s| _ = s.object_velocity(Kind::Geom, 4, false)));
    assert!(panics(&|s| _ = s.object_velocity(Kind::Joint, 0, false)));
    assert!(panics(&|s| _ = s.geom_distance(0, 4, 1.0)));
    assert!(panics(&|s| _ = s.contact_force(0)));
    assert!(panics(&|s| s.jacobian(Kind::Site, 0, &mut [0.0; 20], &mut [0.0; 21])));
    assert!(panics(&|s| s.get_state(&mut [0.0; 3])));
    assert!(panics(&|s| s.set_eq_active(0, true)));
    assert!(panics(&|s| s.model_mut().set_geom_frame(4, [0.0; 3], [1.0, 0.0, 0.0, 0.0])));
}

/// What a child process does: a model whose arena is far too small for its contacts ends in MuJoCo's fatal error.
#[test]
#[ignore = "ends the process: run by a_fatal_error_ends_the_process_cleanly"]
fn fatal_child() {
    let Some(folder) = std::env::var_os("FATAL_CHILD_FOLDER").map(std::path::PathBuf::from) else { return };
    let Some(library) = library() else { return };
    let mark = folder.join("marked");
    tony_mujoco::on_fatal(move |text| std::fs::write(&mark, text).unwrap());
    let tight = XML.replace("<size ", "<size memory=\"2K\" ");
    let mut simulation = Simulation::new(Model::from_xml(&library, &tight).unwrap()).unwrap();
    simulation.set_context("SafetyPointGoal1-v0 with seed 42");
    for _ in 0..10_000 {
        simulation.step().unwrap();
    }
}

#[test]
fn a_fatal_error_ends_the_process_cleanly() {
    if library().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "fatal_child", "--ignored", "--nocapture"])
        .env("FATAL_CHILD_FOLDER", folder.path())
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let mark = std::fs::read_to_string(folder.path().join("marked")).unwrap();
    println!("{said}");
    for part in ["MuJoCo cannot go on: ", "in the model `scene`, SafetyPointGoal1-v0 with seed 42, after "] {
        assert!(said.contains(part) && mark.contains(part), "{said}");
    }
    assert!(!folder.path().join("MUJOCO_LOG.TXT").exists());
}
