//! A model and its state, stepped.

use std::ffi::c_int;
use std::fmt::Write as _;
use std::ptr::NonNull;

use crate::fatal::{Story, tell};
use crate::fields::{self, data};
use crate::{Error, Kind, Model, ModelMut, Result};

/// A model with its state. Owns both; can be moved to another thread. Equal states and controls give equal bits, whichever
/// thread steps.
///
/// After an [`Error::Warning`] the state is not to be used: reset it or set another.
pub struct Simulation {
    model: Model,
    data: NonNull<u8>,
    state_len: usize,
    story: Story,
}

// SAFETY: the data is plain memory that the library allocated for this simulation alone.
unsafe impl Send for Simulation {}

impl Drop for Simulation {
    fn drop(&mut self) {
        // SAFETY: this is the only owner.
        unsafe { (self.model.library().functions().mj_deleteData)(self.data.as_ptr()) }
    }
}

impl std::fmt::Debug for Simulation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Simulation of {:?} at {} s", self.model, self.time())
    }
}

/// What a warning of MuJoCo is about (`mjtWarning`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// The inertia matrix is nearly singular at a degree of freedom.
    Inertia,
    /// The contact list is full.
    Contacts,
    /// The constraint list is full.
    Constraints,
    /// A position is not finite or too large.
    Qpos,
    /// A velocity is not finite or too large.
    Qvel,
    /// An acceleration is not finite or too large.
    Qacc,
    /// A control is not finite or too large.
    Ctrl,
}

/// A warning that MuJoCo raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What it is about.
    pub quantity: Quantity,
    /// Which entry of the quantity; for [`Quantity::Contacts`] how many fit, for [`Quantity::Constraints`] the bytes of memory.
    pub index: i32,
    /// Whether other quantities had warnings in the same call.
    pub more: bool,
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let index = self.index;
        match self.quantity {
            Quantity::Inertia => write!(f, "the inertia matrix is singular at degree of freedom {index}")?,
            Quantity::Contacts => {
                write!(f, "the contact list is full at {index} contacts: give the model more memory")?;
            }
            Quantity::Constraints => {
                write!(f, "the constraints do not fit in {index} bytes: give the model more memory")?;
            }
            Quantity::Qpos => write!(f, "qpos[{index}] is not finite or beyond 1e10")?,
            Quantity::Qvel => write!(f, "qvel[{index}] is not finite or beyond 1e10")?,
            Quantity::Qacc => write!(f, "qacc[{index}] is not finite or beyond 1e10")?,
            Quantity::Ctrl => write!(f, "ctrl[{index}] is not finite or beyond 1e10")?,
        }
        if self.more { write!(f, " (and more)") } else { Ok(()) }
    }
}

/// Quantities in the order of `mjtWarning`.
const QUANTITIES: [Quantity; fields::WARNINGS] = [
    Quantity::Inertia,
    Quantity::Contacts,
    Quantity::Constraints,
    Quantity::Qpos,
    Quantity::Qvel,
    Quantity::Qacc,
    Quantity::Ctrl,
];

/// A detected contact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contact {
    /// First geom; the normal points from it to the second.
    pub geom1: usize,
    /// Second geom.
    pub geom2: usize,
    /// Distance of the nearest points, negative in penetration, m.
    pub dist: f64,
    /// Midpoint, m.
    pub pos: [f64; 3],
    /// Normal and two tangents, rows of a rotation matrix.
    pub frame: [f64; 9],
    /// Distance below which it makes a force, m.
    pub includemargin: f64,
    /// Friction: two sliding, one spinning, two rolling.
    pub friction: [f64; 5],
    /// Dimensions: 1, 3, 4 or 6.
    pub dim: i32,
    /// Why it makes no force; 0: it does.
    pub exclude: i32,
    /// First row in the constraint list, -1: none.
    pub efc_address: i32,
}

impl Simulation {
    /// Make the state of a model, reset to its default pose.
    pub fn new(model: Model) -> Result<Self> {
        let story = Story { model: model.name_of_model().to_owned(), context: "no context".into(), steps: 0 };
        let functions = model.library().functions();
        // SAFETY: the model is live.
        let data = tell(&story, || unsafe { (functions.mj_makeData)(model.raw()) });
        let data = NonNull::new(data)
            .ok_or_else(|| Error::Model { model: story.model.clone(), reason: "no memory for its state".into() })?;
        // SAFETY: the model is live.
        let state_len = unsafe { (functions.mj_stateSize)(model.raw(), fields::STATE_INTEGRATION) } as usize;
        Ok(Simulation { model, data, state_len, story })
    }

    /// What messages say about who is simulating: environment and seed, for instance.
    pub fn set_context(&mut self, context: impl std::fmt::Display) {
        self.story.context.clear();
        // Writing to a string does not fail; its room is used again.
        let _ = write!(self.story.context, "{context}");
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The model, to write its floating-point fields: the next step or forward call uses them.
    pub fn model_mut(&mut self) -> ModelMut<'_> {
        ModelMut::new(&mut self.model)
    }

    /// Advance by one time step.
    #[inline]
    pub fn step(&mut self) -> Result<()> {
        self.steps(1)
    }

    /// Advance by `n` time steps; stops at the first that raises a warning.
    pub fn steps(&mut self, n: usize) -> Result<()> {
        let step = self.model.library().functions().mj_step;
        for _ in 0..n {
            // SAFETY: model and data are live, belong together and are exclusively borrowed.
            tell(&self.story, || unsafe { step(self.model.raw(), self.data.as_ptr()) });
            self.story.steps += 1;
            self.check()?;
        }
        Ok(())
    }

    /// Advance by `n` time steps from a state that [`Simulation::forward`] was called on, of which only controls have changed
    /// since: the state that [`Simulation::steps`] leads to, bit for bit, in less time. What forward computed from positions
    /// and velocities is not computed again for the first step, and sensors are not read on the way: call forward after.
    ///
    /// Only the Euler integrator can start in the middle of a step; for others this is `steps`.
    pub fn advance(&mut self, n: usize) -> Result<()> {
        /// `mjDSBL_SENSOR`.
        const NO_SENSORS: i32 = 1 << 13;
        /// `mjSTAGE_VEL`.
        const AFTER_VELOCITIES: c_int = 2;
        /// `mjINT_EULER`.
        const EULER: i32 = 0;
        if n == 0 || self.model.options().integrator != EULER {
            return self.steps(n);
        }
        let flags =
            self.model.raw_mut().wrapping_add(fields::model::OPT + fields::option::DISABLEFLAGS.offset).cast::<i32>();
        let functions = self.model.library().functions();
        // SAFETY: the flags lie in the live model, which is exclusively borrowed; every bit is a known one.
        let before = unsafe { flags.replace(flags.read() | NO_SENSORS) };
        let (model, data) = (self.model.raw(), self.data.as_ptr());
        // SAFETY: as in `steps`. These calls are what `mj_step` consists of for this integrator.
        tell(&self.story, || unsafe {
            (functions.mj_checkPos)(model, data);
            (functions.mj_checkVel)(model, data);
            (functions.mj_forwardSkip)(model, data, AFTER_VELOCITIES, 1);
            (functions.mj_checkAcc)(model, data);
            (functions.mj_Euler)(model, data);
        });
        self.story.steps += 1;
        let done = self.check().and_then(|()| self.steps(n - 1));
        // SAFETY: as above.
        unsafe { flags.write(before) };
        done
    }

    /// Compute everything that follows from positions, velocities and controls, without advancing.
    pub fn forward(&mut self) -> Result<()> {
        let forward = self.model.library().functions().mj_forward;
        // SAFETY: as in `steps`.
        tell(&self.story, || unsafe { forward(self.model.raw(), self.data.as_ptr()) });
        self.check()
    }

    /// Go back to the default pose at rest: positions `qpos0`, everything else zero or as compiled.
    pub fn reset(&mut self) {
        let reset = self.model.library().functions().mj_resetData;
        // SAFETY: as in `steps`.
        tell(&self.story, || unsafe { reset(self.model.raw(), self.data.as_ptr()) });
    }

    /// Compute the frames of bodies, geoms and sites from the positions alone.
    pub fn kinematics(&mut self) {
        let kinematics = self.model.library().functions().mj_kinematics;
        // SAFETY: as in `steps`.
        tell(&self.story, || unsafe { kinematics(self.model.raw(), self.data.as_ptr()) });
    }

    /// Recompute what the compiler derives from the default pose (`dof_invweight0`, `stat.meaninertia`, ...), after bodies
    /// were moved or masses changed in the model.
    pub fn set_const(&mut self) {
        let set_const = self.model.library().functions().mj_setConst;
        let model = self.model.raw_mut();
        // SAFETY: as in `steps`.
        tell(&self.story, || unsafe { set_const(model, self.data.as_ptr()) });
        // The compiler's mean inertia, bit for bit; `mj_setConst` leaves it, and it scales the solver's stopping test.
        let inertia = self.model.dof_m0();
        if !inertia.is_empty() {
            let mean = inertia.iter().fold(0.0, |sum, diagonal| sum + diagonal) / inertia.len() as f64;
            // SAFETY: the structure lies in the live model, which is exclusively borrowed.
            unsafe { model.add(fields::model::STAT + fields::statistic::MEANINERTIA.offset).cast::<f64>().write(mean) };
        }
    }

    /// Compute `subtree_linvel` and `subtree_angmom`.
    pub fn subtree_vel(&mut self) {
        let subtree_vel = self.model.library().functions().mj_subtreeVel;
        // SAFETY: as in `steps`.
        tell(&self.story, || unsafe { subtree_vel(self.model.raw(), self.data.as_ptr()) });
    }

    /// Compute `cacc`, `cfrc_int` and `cfrc_ext`.
    pub fn rne_post_constraint(&mut self) {
        let rne = self.model.library().functions().mj_rnePostConstraint;
        // SAFETY: as in `steps`.
        tell(&self.story, || unsafe { rne(self.model.raw(), self.data.as_ptr()) });
    }

    /// Numbers in a state.
    pub fn state_len(&self) -> usize {
        self.state_len
    }

    /// Write everything that the future depends on (`mjSTATE_INTEGRATION`: time, positions, velocities, activations, warm
    /// start, controls, applied forces, active constraints, mocap poses, user data).
    ///
    /// # Panics
    /// If `state` has not [`Simulation::state_len`] numbers.
    pub fn get_state(&self, state: &mut [f64]) {
        assert_eq!(state.len(), self.state_len, "length of a state");
        let get = self.model.library().functions().mj_getState;
        // SAFETY: model and data are live and the slice has the length that the library asks for.
        unsafe { get(self.model.raw(), self.data.as_ptr(), state.as_mut_ptr(), fields::STATE_INTEGRATION) }
    }

    /// Go to a state from [`Simulation::get_state`]. What follows from it is computed by the next `step` or `forward`.
    pub fn set_state(&mut self, state: &[f64]) -> Result<()> {
        if state.len() != self.state_len {
            let model = self.story.model.clone();
            return Err(Error::StateLength { model, expected: self.state_len, found: state.len() });
        }
        let set = self.model.library().functions().mj_setState;
        // SAFETY: as in `get_state`, exclusively borrowed.
        unsafe { set(self.model.raw(), self.data.as_ptr(), state.as_ptr(), fields::STATE_INTEGRATION) };
        Ok(())
    }

    /// The contacts of the last step or forward call.
    pub fn contacts(&self) -> impl ExactSizeIterator<Item = Contact> {
        (0..self.ncon()).map(|i| {
            // SAFETY: the data is live and borrowed for as long as the iterator; it holds `ncon` contacts in a row.
            unsafe {
                let list = self.data.as_ptr().add(data::CONTACT).cast::<*const u8>().read();
                let at = list.add(i * fields::SIZEOF_CONTACT);
                let [geom1, geom2] = fields::contact::GEOM.array(at);
                Contact {
                    geom1: geom1 as usize,
                    geom2: geom2 as usize,
                    dist: fields::contact::DIST.get(at),
                    pos: fields::contact::POS.array(at),
                    frame: fields::contact::FRAME.array(at),
                    includemargin: fields::contact::INCLUDEMARGIN.get(at),
                    friction: fields::contact::FRICTION.array(at),
                    dim: fields::contact::DIM.get(at),
                    exclude: fields::contact::EXCLUDE.get(at),
                    efc_address: fields::contact::EFC_ADDRESS.get(at),
                }
            }
        })
    }

    /// Force and torque of a contact in its own frame, N and N m.
    ///
    /// # Panics
    /// If there is no contact `index`.
    pub fn contact_force(&self, index: usize) -> [f64; 6] {
        assert!(index < self.ncon(), "contact {index} of {}", self.ncon());
        let mut force = [0.0; 6];
        let contact_force = self.model.library().functions().mj_contactForce;
        // SAFETY: model and data are live, the index is in range, six numbers are written.
        unsafe { contact_force(self.model.raw(), self.data.as_ptr(), index as c_int, force.as_mut_ptr()) };
        force
    }

    /// Velocity of a body, geom or site: angular (rad/s), then linear (m/s), about its own centre; in world axes, or in its
    /// own if `local`.
    ///
    /// # Panics
    /// If the kind has no velocity or there is no such object.
    pub fn object_velocity(&self, kind: Kind, id: usize, local: bool) -> [f64; 6] {
        self.check_id(kind, id);
        let mut velocity = [0.0; 6];
        let object_velocity = self.model.library().functions().mj_objectVelocity;
        // SAFETY: model and data are live, kind and id were checked, six numbers are written.
        unsafe {
            let (model, data) = (self.model.raw(), self.data.as_ptr());
            object_velocity(model, data, kind as c_int, id as c_int, velocity.as_mut_ptr(), c_int::from(local));
        }
        velocity
    }

    /// Smallest signed distance between two geoms, at most `max`, and the segment from the first to the second (two
    /// points), m.
    ///
    /// # Panics
    /// If there is no such geom.
    pub fn geom_distance(&mut self, geom1: usize, geom2: usize, max: f64) -> (f64, [f64; 6]) {
        self.check_id(Kind::Geom, geom1);
        self.check_id(Kind::Geom, geom2);
        let mut segment = [0.0; 6];
        let distance = self.model.library().functions().mj_geomDistance;
        // SAFETY: model and data are live and exclusively borrowed, the ids were checked, six numbers are written.
        let distance = tell(&self.story, || unsafe {
            distance(self.model.raw(), self.data.as_ptr(), geom1 as c_int, geom2 as c_int, max, segment.as_mut_ptr())
        });
        (distance, segment)
    }

    /// Jacobian of a frame's origin: `position` (`[3, nv]`, m/s per unit of `qvel`) and `rotation` (`[3, nv]`). Of
    /// [`Kind::Body`] the origin is the centre of mass, of [`Kind::XBody`] the body frame's origin.
    ///
    /// # Panics
    /// If the kind has no frame, there is no such object, or a slice has another length.
    pub fn jacobian(&self, kind: Kind, id: usize, position: &mut [f64], rotation: &mut [f64]) {
        self.check_id(kind, id);
        let len = 3 * self.model.nv();
        assert!(position.len() == len && rotation.len() == len, "a Jacobian has 3 rows of {} numbers", self.model.nv());
        let functions = self.model.library().functions();
        let jacobian = match kind {
            Kind::Geom => functions.mj_jacGeom,
            Kind::Site => functions.mj_jacSite,
            Kind::Body => functions.mj_jacBodyCom,
            _ => functions.mj_jacBody,
        };
        let (model, data) = (self.model.raw(), self.data.as_ptr());
        // SAFETY: model and data are live, the id was checked, the slices have the length that is written.
        unsafe { jacobian(model, data, position.as_mut_ptr(), rotation.as_mut_ptr(), id as c_int) }
    }

    /// Simulated time, s.
    pub fn time(&self) -> f64 {
        // SAFETY: the data is live and of the table's version.
        unsafe { data::TIME.get(self.data.as_ptr()) }
    }

    /// Set the simulated time, s.
    pub fn set_time(&mut self, time: f64) {
        // SAFETY: as in `time`, exclusively borrowed.
        unsafe { self.data.as_ptr().add(data::TIME.offset).cast::<f64>().write(time) }
    }

    /// Number of contacts of the last step or forward call.
    pub fn ncon(&self) -> usize {
        // SAFETY: as in `time`.
        unsafe { data::NCON.get(self.data.as_ptr()) as usize }
    }

    /// Number of constraint rows of the last step or forward call.
    pub fn nefc(&self) -> usize {
        // SAFETY: as in `time`.
        unsafe { data::NEFC.get(self.data.as_ptr()) as usize }
    }

    /// Switch an equality constraint on or off until the next reset.
    ///
    /// # Panics
    /// If there is no constraint `id`.
    pub fn set_eq_active(&mut self, id: usize, active: bool) {
        // SAFETY: model and data are live and exclusively borrowed.
        unsafe { data::EQ_ACTIVE.slice_mut(self.data.as_ptr(), self.model.raw())[id] = active }
    }

    /// Physics steps since the simulation was made.
    pub fn steps_made(&self) -> u64 {
        self.story.steps
    }

    pub(crate) fn raw(&self) -> *const u8 {
        self.data.as_ptr()
    }

    fn check_id(&self, kind: Kind, id: usize) {
        let count = match kind {
            Kind::Body | Kind::XBody => self.model.nbody(),
            Kind::Geom => self.model.ngeom(),
            Kind::Site => self.model.nsite(),
            _ => 0,
        };
        assert!(id < count, "{} {id} of {count}", kind.name());
    }

    /// Turn warning counters into an error and clear them.
    #[inline]
    fn check(&mut self) -> Result<()> {
        // SAFETY: the data is live, exclusively borrowed, and holds this many pairs (last info, count).
        let counters = unsafe { &mut *self.data.as_ptr().add(data::WARNING).cast::<[[i32; 2]; fields::WARNINGS]>() };
        if counters.iter().fold(0, |any, counter| any | counter[1]) == 0 {
            return Ok(());
        }
        let mut raised = QUANTITIES.into_iter().zip(*counters).filter(|(_, [_, count])| *count != 0);
        let first = raised.next().map(|(quantity, [index, _])| (quantity, index));
        let more = raised.next().is_some();
        *counters = [[0; 2]; fields::WARNINGS];
        match first {
            None => Ok(()),
            Some((quantity, index)) => Err(Error::Warning {
                warning: Warning { quantity, index, more },
                model: self.story.model.clone(),
                context: self.story.context.clone(),
                steps: self.story.steps,
            }),
        }
    }
}

/// Arrays that can be read; `name, name_mut` can be written too.
macro_rules! arrays {
    ($($(#[$doc:meta])* $name:ident $(, $name_mut:ident)? = $array:ident: $type:ty;)*) => {
        impl Simulation {
            $(
                $(#[$doc])* #[inline] pub fn $name(&self) -> &[$type] {
                    // SAFETY: data and model are live, of the table's version, and borrowed for as long as the slice.
                    unsafe { data::$array.slice(self.data.as_ptr(), self.model.raw()) }
                }
                $(#[doc = concat!("[`Self::", stringify!($name), "`], to be written.")] #[inline] pub fn $name_mut(&mut self) -> &mut [$type] {
                    // SAFETY: as above, and the borrow is exclusive.
                    unsafe { data::$array.slice_mut(self.data.as_ptr(), self.model.raw()) }
                })?
            )*
        }
    };
}

arrays! {
    /// Positions, `[nq]`.
    qpos, qpos_mut = QPOS: f64;
    /// Velocities, `[nv]`.
    qvel, qvel_mut = QVEL: f64;
    /// Activations of actuators, `[na]`.
    act, act_mut = ACT: f64;
    /// Acceleration that the solver starts from, `[nv]`.
    qacc_warmstart, qacc_warmstart_mut = QACC_WARMSTART: f64;
    /// Controls, `[nu]`.
    ctrl, ctrl_mut = CTRL: f64;
    /// Applied generalised forces, `[nv]`.
    qfrc_applied, qfrc_applied_mut = QFRC_APPLIED: f64;
    /// Applied force and torque on each body, `[nbody, 6]`.
    xfrc_applied, xfrc_applied_mut = XFRC_APPLIED: f64;
    /// Which equality constraints are active, `[neq]`.
    eq_active = EQ_ACTIVE: bool;
    /// Places of mocap bodies, m, `[nmocap, 3]`.
    mocap_pos, mocap_pos_mut = MOCAP_POS: f64;
    /// Orientations of mocap bodies, `[nmocap, 4]`.
    mocap_quat, mocap_quat_mut = MOCAP_QUAT: f64;
    /// Accelerations, `[nv]`.
    qacc = QACC: f64;
    /// Time derivative of the activations, `[na]`.
    act_dot = ACT_DOT: f64;
    /// The user's own numbers, which the library leaves alone, `[nuserdata]`.
    userdata, userdata_mut = USERDATA: f64;
    /// Readings of the sensors, `[nsensordata]`.
    sensordata = SENSORDATA: f64;

    /// Places of body frames, m, `[nbody, 3]`.
    xpos = XPOS: f64;
    /// Orientations of body frames, unit quaternions w x y z, `[nbody, 4]`.
    xquat = XQUAT: f64;
    /// Orientations of body frames, rotation matrices by rows, `[nbody, 9]`.
    xmat = XMAT: f64;
    /// Centres of mass of bodies, m, `[nbody, 3]`.
    xipos = XIPOS: f64;
    /// Principal axes of inertia of bodies, `[nbody, 9]`.
    ximat = XIMAT: f64;
    /// Anchors of joints, m, `[njnt, 3]`.
    xanchor = XANCHOR: f64;
    /// Axes of joints, `[njnt, 3]`.
    xaxis = XAXIS: f64;
    /// Places of geoms, m, `[ngeom, 3]`.
    geom_xpos = GEOM_XPOS: f64;
    /// Orientations of geoms, `[ngeom, 9]`.
    geom_xmat = GEOM_XMAT: f64;
    /// Places of sites, m, `[nsite, 3]`.
    site_xpos = SITE_XPOS: f64;
    /// Orientations of sites, `[nsite, 9]`.
    site_xmat = SITE_XMAT: f64;
    /// Centre of mass of each body and all below it, m, `[nbody, 3]`.
    subtree_com = SUBTREE_COM: f64;
    /// Inertia and mass of bodies about the tree's centre of mass, `[nbody, 10]`.
    cinert = CINERT: f64;
    /// Lengths of tendons, m, `[ntendon]`.
    ten_length = TEN_LENGTH: f64;
    /// Velocities of tendons, m/s, `[ntendon]`.
    ten_velocity = TEN_VELOCITY: f64;
    /// Lengths of actuators, `[nout]`.
    actuator_length = ACTUATOR_LENGTH: f64;
    /// Velocities of actuators, `[nout]`.
    actuator_velocity = ACTUATOR_VELOCITY: f64;
    /// Velocities of bodies about the tree's centre of mass: angular, linear, `[nbody, 6]`.
    cvel = CVEL: f64;
    /// Coriolis, centrifugal and gravitational forces, `[nv]`.
    qfrc_bias = QFRC_BIAS: f64;
    /// Passive forces, `[nv]`.
    qfrc_passive = QFRC_PASSIVE: f64;
    /// Velocity of each subtree's centre of mass, m/s, `[nbody, 3]`; current after [`Simulation::subtree_vel`] or with a
    /// sensor that needs it.
    subtree_linvel = SUBTREE_LINVEL: f64;
    /// Angular momentum of each subtree about its centre of mass, `[nbody, 3]`; as `subtree_linvel`.
    subtree_angmom = SUBTREE_ANGMOM: f64;
    /// Forces of actuators, `[nout]`.
    actuator_force = ACTUATOR_FORCE: f64;
    /// Generalised forces of actuators, `[nv]`.
    qfrc_actuator = QFRC_ACTUATOR: f64;
    /// Generalised forces of constraints, `[nv]`.
    qfrc_constraint = QFRC_CONSTRAINT: f64;
    /// Accelerations of bodies, `[nbody, 6]`; current after [`Simulation::rne_post_constraint`] or with a sensor that needs
    /// it.
    cacc = CACC: f64;
    /// Internal forces on bodies: torque, force, `[nbody, 6]`; as `cacc`.
    cfrc_int = CFRC_INT: f64;
    /// External forces on bodies: torque, force, `[nbody, 6]`; as `cacc`.
    cfrc_ext = CFRC_EXT: f64;
}
