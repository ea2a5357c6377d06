//! A compiled model.

use std::ffi::{CStr, CString, c_int};
use std::ptr::NonNull;

use crate::fields::{self, model};
use crate::{Error, Library, Result};

/// Kinds of named objects, with MuJoCo's numbers (`mjtObj`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A body; its frame is the inertial one where a frame matters.
    Body = 1,
    /// A body; its frame is the body's own one where a frame matters.
    XBody = 2,
    /// A joint.
    Joint = 3,
    /// A geom.
    Geom = 5,
    /// A site.
    Site = 6,
    /// An equality constraint.
    Equality = 17,
    /// A tendon.
    Tendon = 18,
    /// An actuator.
    Actuator = 19,
    /// A sensor.
    Sensor = 20,
    /// A keyframe.
    Key = 24,
}

impl Kind {
    /// How messages call it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Body | Kind::XBody => "body",
            Kind::Joint => "joint",
            Kind::Geom => "geom",
            Kind::Site => "site",
            Kind::Equality => "equality constraint",
            Kind::Tendon => "tendon",
            Kind::Actuator => "actuator",
            Kind::Sensor => "sensor",
            Kind::Key => "keyframe",
        }
    }
}

/// A compiled model. A clone is a deep copy.
pub struct Model {
    library: Library,
    raw: NonNull<u8>,
    name: String,
}

// SAFETY: a model is plain memory that the library allocated for it alone; shared access only reads.
unsafe impl Send for Model {}
// SAFETY: as above.
unsafe impl Sync for Model {}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: this is the only owner.
        unsafe { (self.library.functions().mj_deleteModel)(self.raw.as_ptr()) }
    }
}

impl Clone for Model {
    fn clone(&self) -> Self {
        // SAFETY: the model is live; with no destination a new one is made. Running out of memory is fatal inside.
        let copy = unsafe { (self.library.functions().mj_copyModel)(std::ptr::null_mut(), self.raw.as_ptr()) };
        let Some(raw) = NonNull::new(copy) else { std::alloc::handle_alloc_error(std::alloc::Layout::new::<u8>()) };
        Model { library: self.library.clone(), raw, name: self.name.clone() }
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Model `{}` ({} bodies, {} degrees of freedom)", self.name, self.nbody(), self.nv())
    }
}

impl Model {
    /// Compile MJCF text.
    pub fn from_xml(library: &Library, xml: &str) -> Result<Self> {
        let name = model_name(xml);
        let failed = |reason: String| Error::Model { model: name.clone(), reason };
        let text = CString::new(xml).map_err(|_| failed("the text holds a zero byte".into()))?;
        let functions = library.functions();
        let mut message = [0; 1024];
        // SAFETY: the text and the buffer for the message are live and zero-terminated; no virtual files are given.
        let spec = unsafe {
            (functions.mj_parseXMLString)(text.as_ptr(), std::ptr::null(), message.as_mut_ptr(), message.len() as c_int)
        };
        if spec.is_null() {
            // SAFETY: MuJoCo wrote a zero-terminated text into the buffer.
            let said = unsafe { CStr::from_ptr(message.as_ptr()) };
            return Err(failed(said.to_string_lossy().trim().into()));
        }
        // SAFETY: the parsed text is live until it is deleted here, and the error belongs to it.
        let compiled = unsafe {
            let raw = (functions.mj_compile)(spec, std::ptr::null());
            let compiled = NonNull::new(raw).ok_or_else(|| {
                let said = (functions.mjs_getError)(spec);
                failed(if said.is_null() {
                    String::new()
                } else {
                    CStr::from_ptr(said).to_string_lossy().trim().into()
                })
            });
            (functions.mj_deleteSpec)(spec);
            compiled
        };
        let model = Model { library: library.clone(), raw: compiled?, name: name.clone() };
        // History buffers keep cursors among their numbers, and plugins whatever they like: setting such a state from a file
        // could lead the library out of bounds. Flexes have contacts without geoms.
        // SAFETY: the model is live.
        let unchecked = unsafe {
            let count = |size: crate::field::Size| size.get(model.raw());
            count(model::NHISTORY) + count(model::NPLUGIN) + count(model::NFLEX)
        };
        if unchecked > 0 {
            return Err(failed("delays, plugins and flexes are not supported here".into()));
        }
        Ok(model)
    }

    /// The name that the text gives the model.
    pub fn name_of_model(&self) -> &str {
        &self.name
    }

    /// The id of a named object.
    pub fn find(&self, kind: Kind, name: &str) -> Option<usize> {
        let name = CString::new(name).ok()?;
        // SAFETY: the model and the name are live; an unknown name gives -1.
        let id = unsafe { (self.library.functions().mj_name2id)(self.raw.as_ptr(), kind as c_int, name.as_ptr()) };
        usize::try_from(id).ok()
    }

    /// The id of a named object, which must be there.
    pub fn id(&self, kind: Kind, name: &str) -> Result<usize> {
        self.find(kind, name).ok_or_else(|| Error::NoSuchName {
            model: self.name.clone(),
            kind: kind.name(),
            name: name.to_owned(),
        })
    }

    /// The name of an object; empty for an object without one and for an id out of range.
    pub fn name(&self, kind: Kind, id: usize) -> &str {
        let Ok(id) = c_int::try_from(id) else { return "" };
        // SAFETY: the library checks the range; the text lies in the model and lives as long.
        unsafe {
            let name = (self.library.functions().mj_id2name)(self.raw.as_ptr(), kind as c_int, id);
            if name.is_null() { "" } else { CStr::from_ptr(name).to_str().unwrap_or("") }
        }
    }

    pub(crate) fn library(&self) -> &Library {
        &self.library
    }

    #[inline]
    pub(crate) fn raw(&self) -> *const u8 {
        self.raw.as_ptr()
    }

    pub(crate) fn raw_mut(&mut self) -> *mut u8 {
        self.raw.as_ptr()
    }
}

/// The `model="..."` of the root element, for messages.
fn model_name(xml: &str) -> String {
    let root = xml.split_once("<mujoco").and_then(|(_, rest)| rest.split_once('>')).map_or("", |(root, _)| root);
    let name =
        root.split_once("model").and_then(|(_, rest)| rest.trim_start().strip_prefix('=')).map_or("", str::trim_start);
    let quote = name.chars().next().unwrap_or('"');
    name.get(1..)
        .and_then(|rest| rest.split(quote).next())
        .filter(|name| !name.is_empty())
        .unwrap_or("unnamed")
        .to_owned()
}

/// The model of a simulation, to write its floating-point fields. Not a `&mut Model`: another model in its place would not
/// fit the simulation's state.
#[derive(Debug)]
pub struct ModelMut<'a>(&'a mut Model);

impl<'a> ModelMut<'a> {
    pub(crate) fn new(model: &'a mut Model) -> Self {
        ModelMut(model)
    }

    /// [`Model::set_geom_frame`].
    pub fn set_geom_frame(&mut self, id: usize, pos: [f64; 3], quat: [f64; 4]) {
        self.0.set_geom_frame(id, pos, quat);
    }

    /// [`Model::set_site_frame`].
    pub fn set_site_frame(&mut self, id: usize, pos: [f64; 3], quat: [f64; 4]) {
        self.0.set_site_frame(id, pos, quat);
    }
}

impl std::ops::Deref for ModelMut<'_> {
    type Target = Model;

    fn deref(&self) -> &Model {
        self.0
    }
}

/// Counts of the model.
macro_rules! sizes {
    ($($(#[$doc:meta])* $name:ident = $size:ident;)*) => {
        impl Model {
            $($(#[$doc])* #[inline] pub fn $name(&self) -> usize {
                // SAFETY: the model is live and of the table's version.
                unsafe { model::$size.get(self.raw()) }
            })*
        }
    };
}

sizes! {
    /// Numbers in `qpos`.
    nq = NQ;
    /// Degrees of freedom: numbers in `qvel`.
    nv = NV;
    /// Controls.
    nu = NU;
    /// Activation states of actuators.
    na = NA;
    /// Actuators.
    nactuator = NACTUATOR;
    /// Bodies, the world included.
    nbody = NBODY;
    /// Joints.
    njnt = NJNT;
    /// Geoms.
    ngeom = NGEOM;
    /// Sites.
    nsite = NSITE;
    /// Meshes.
    nmesh = NMESH;
    /// Predefined contact pairs.
    npair = NPAIR;
    /// Excluded pairs of bodies.
    nexclude = NEXCLUDE;
    /// Equality constraints.
    neq = NEQ;
    /// Tendons.
    ntendon = NTENDON;
    /// Objects on the tendons' paths.
    nwrap = NWRAP;
    /// Sensors.
    nsensor = NSENSOR;
    /// Numbers in `sensordata`.
    nsensordata = NSENSORDATA;
    /// Mocap bodies.
    nmocap = NMOCAP;
    /// Keyframes.
    nkey = NKEY;
    /// Numbers in `userdata`.
    nuserdata = NUSERDATA;
}

/// Arrays that can be read; `name, name_mut` can be written too.
macro_rules! arrays {
    ($($(#[$doc:meta])* $name:ident $(, $name_mut:ident)? = $array:ident: $type:ty;)*) => {
        impl Model {
            $(
                $(#[$doc])* #[inline] pub fn $name(&self) -> &[$type] {
                    // SAFETY: the model is live, of the table's version, and borrowed for as long as the slice.
                    unsafe { model::$array.slice(self.raw(), self.raw()) }
                }
                $(#[doc = concat!("[`Self::", stringify!($name), "`], to be written.")]
                #[inline] pub fn $name_mut(&mut self) -> &mut [$type] {
                    // SAFETY: as above, and the borrow is exclusive.
                    unsafe { model::$array.slice_mut(self.raw_mut(), self.raw()) }
                })?
            )*
        }

        impl ModelMut<'_> {
            $($(#[doc = concat!("[`Model::", stringify!($name), "`], to be written.")]
            #[inline] pub fn $name_mut(&mut self) -> &mut [$type] {
                self.0.$name_mut()
            })?)*
        }
    };
}

arrays! {
    /// Positions of the default pose, `[nq]`.
    qpos0, qpos0_mut = QPOS0: f64;
    /// Positions at which joint springs rest, `[nq]`.
    qpos_spring, qpos_spring_mut = QPOS_SPRING: f64;

    /// Each body's parent, `[nbody]`.
    body_parentid = BODY_PARENTID: i32;
    /// Each body's ancestor below the world, `[nbody]`.
    body_rootid = BODY_ROOTID: i32;
    /// Each body's topmost ancestor that cannot move against it, `[nbody]`.
    body_weldid = BODY_WELDID: i32;
    /// Row in the mocap arrays, -1 for other bodies, `[nbody]`.
    body_mocapid = BODY_MOCAPID: i32;
    /// Number of joints, `[nbody]`.
    body_jntnum = BODY_JNTNUM: i32;
    /// First joint or -1, `[nbody]`.
    body_jntadr = BODY_JNTADR: i32;
    /// Number of degrees of freedom, `[nbody]`.
    body_dofnum = BODY_DOFNUM: i32;
    /// First degree of freedom or -1, `[nbody]`.
    body_dofadr = BODY_DOFADR: i32;
    /// Number of geoms, `[nbody]`.
    body_geomnum = BODY_GEOMNUM: i32;
    /// First geom or -1, `[nbody]`.
    body_geomadr = BODY_GEOMADR: i32;
    /// Place in the parent's frame, m, `[nbody, 3]`.
    body_pos, body_pos_mut = BODY_POS: f64;
    /// Orientation in the parent's frame, unit quaternion w x y z, `[nbody, 4]`.
    body_quat, body_quat_mut = BODY_QUAT: f64;
    /// Centre of mass in the body's frame, m, `[nbody, 3]`.
    body_ipos, body_ipos_mut = BODY_IPOS: f64;
    /// Principal axes of inertia in the body's frame, `[nbody, 4]`.
    body_iquat, body_iquat_mut = BODY_IQUAT: f64;
    /// Mass, kg, `[nbody]`.
    body_mass, body_mass_mut = BODY_MASS: f64;
    /// Mass of the body and all below it, kg, `[nbody]`.
    body_subtreemass = BODY_SUBTREEMASS: f64;
    /// Principal moments of inertia, kg m^2, `[nbody, 3]`.
    body_inertia, body_inertia_mut = BODY_INERTIA: f64;
    /// Mean inverse inertia (translation, rotation) in the default pose, `[nbody, 2]`.
    body_invweight0 = BODY_INVWEIGHT0: f64;
    /// Share of the weight that is carried, `[nbody]`.
    body_gravcomp = BODY_GRAVCOMP: f64;

    /// Type (`mjtJoint`: 0 free, 1 ball, 2 slide, 3 hinge), `[njnt]`.
    jnt_type = JNT_TYPE: i32;
    /// Address in `qpos`, `[njnt]`.
    jnt_qposadr = JNT_QPOSADR: i32;
    /// Address in `qvel`, `[njnt]`.
    jnt_dofadr = JNT_DOFADR: i32;
    /// The joint's body, `[njnt]`.
    jnt_bodyid = JNT_BODYID: i32;
    /// Group, `[njnt]`.
    jnt_group = JNT_GROUP: i32;
    /// Has limits, `[njnt]`.
    jnt_limited = JNT_LIMITED: bool;
    /// Has limits on the actuators' total force, `[njnt]`.
    jnt_actfrclimited = JNT_ACTFRCLIMITED: bool;
    /// Solver reference at the limit, `[njnt, 2]`.
    jnt_solref = JNT_SOLREF: f64;
    /// Solver impedance at the limit, `[njnt, 5]`.
    jnt_solimp = JNT_SOLIMP: f64;
    /// Anchor in the body's frame, m, `[njnt, 3]`.
    jnt_pos = JNT_POS: f64;
    /// Axis in the body's frame, `[njnt, 3]`.
    jnt_axis = JNT_AXIS: f64;
    /// Stiffness, `[njnt]`.
    jnt_stiffness = JNT_STIFFNESS: f64;
    /// Limits, m or rad, `[njnt, 2]`.
    jnt_range = JNT_RANGE: f64;
    /// Limits of the actuators' total force, `[njnt, 2]`.
    jnt_actfrcrange = JNT_ACTFRCRANGE: f64;
    /// Distance at which a limit is noticed, `[njnt]`.
    jnt_margin = JNT_MARGIN: f64;

    /// Each degree of freedom's body, `[nv]`.
    dof_bodyid = DOF_BODYID: i32;
    /// Each degree of freedom's joint, `[nv]`.
    dof_jntid = DOF_JNTID: i32;
    /// Each degree of freedom's parent or -1, `[nv]`.
    dof_parentid = DOF_PARENTID: i32;
    /// Solver reference of friction loss, `[nv, 2]`.
    dof_solref = DOF_SOLREF: f64;
    /// Solver impedance of friction loss, `[nv, 5]`.
    dof_solimp = DOF_SOLIMP: f64;
    /// Friction loss, `[nv]`.
    dof_frictionloss = DOF_FRICTIONLOSS: f64;
    /// Added inertia, `[nv]`.
    dof_armature = DOF_ARMATURE: f64;
    /// Damping, `[nv]`.
    dof_damping = DOF_DAMPING: f64;
    /// Diagonal of the inverse inertia in the default pose, `[nv]`.
    dof_invweight0 = DOF_INVWEIGHT0: f64;
    /// Diagonal of the inertia in the default pose, `[nv]`.
    dof_m0 = DOF_M0: f64;

    /// Type (`mjtGeom`: 0 plane, 2 sphere, 3 capsule, 4 ellipsoid, 5 cylinder, 6 box, 7 mesh), `[ngeom]`.
    geom_type = GEOM_TYPE: i32;
    /// Contact type bits, `[ngeom]`.
    geom_contype = GEOM_CONTYPE: i32;
    /// Contact affinity bits, `[ngeom]`.
    geom_conaffinity = GEOM_CONAFFINITY: i32;
    /// Contact dimensions (1, 3, 4, 6), `[ngeom]`.
    geom_condim = GEOM_CONDIM: i32;
    /// The geom's body, `[ngeom]`.
    geom_bodyid = GEOM_BODYID: i32;
    /// The geom's mesh or -1, `[ngeom]`.
    geom_dataid = GEOM_DATAID: i32;
    /// Group, `[ngeom]`.
    geom_group = GEOM_GROUP: i32;
    /// Contact priority, `[ngeom]`.
    geom_priority = GEOM_PRIORITY: i32;
    /// Weight of this geom's solver parameters in a contact, `[ngeom]`.
    geom_solmix = GEOM_SOLMIX: f64;
    /// Solver reference of contacts, `[ngeom, 2]`.
    geom_solref, geom_solref_mut = GEOM_SOLREF: f64;
    /// Solver impedance of contacts, `[ngeom, 5]`.
    geom_solimp, geom_solimp_mut = GEOM_SOLIMP: f64;
    /// Size, by type, m, `[ngeom, 3]`. After writing it, mend `geom_rbound` and `geom_aabb` too: collisions are looked for
    /// within them.
    geom_size, geom_size_mut = GEOM_SIZE: f64;
    /// Bounding box in the geom's frame: centre, half sizes, m, `[ngeom, 6]`.
    geom_aabb, geom_aabb_mut = GEOM_AABB: f64;
    /// Radius of the bounding sphere, 0 for a plane, m, `[ngeom]`.
    geom_rbound, geom_rbound_mut = GEOM_RBOUND: f64;
    /// Place in the body's frame, m, `[ngeom, 3]`. To write it: [`Model::set_geom_frame`].
    geom_pos = GEOM_POS: f64;
    /// Orientation in the body's frame, `[ngeom, 4]`. To write it: [`Model::set_geom_frame`].
    geom_quat = GEOM_QUAT: f64;
    /// Friction: sliding, spinning, rolling, `[ngeom, 3]`.
    geom_friction, geom_friction_mut = GEOM_FRICTION: f64;
    /// Inflation for contacts, m, `[ngeom]`.
    geom_margin = GEOM_MARGIN: f64;
    /// Added distance at which contacts are noticed, m, `[ngeom]`.
    geom_gap = GEOM_GAP: f64;
    /// Colour, `[ngeom, 4]`.
    geom_rgba, geom_rgba_mut = GEOM_RGBA: f32;

    /// First vertex, `[nmesh]`.
    mesh_vertadr = MESH_VERTADR: i32;
    /// Number of vertices, `[nmesh]`.
    mesh_vertnum = MESH_VERTNUM: i32;
    /// First face, `[nmesh]`.
    mesh_faceadr = MESH_FACEADR: i32;
    /// Number of faces, `[nmesh]`.
    mesh_facenum = MESH_FACENUM: i32;
    /// Vertices of all meshes in the frames of their geoms, m, `[nmeshvert, 3]`.
    mesh_vert = MESH_VERT: f32;
    /// Faces of all meshes, each three vertices of its own mesh, `[nmeshface, 3]`.
    mesh_face = MESH_FACE: i32;

    /// Type (`mjtGeom`), `[nsite]`.
    site_type = SITE_TYPE: i32;
    /// The site's body, `[nsite]`.
    site_bodyid = SITE_BODYID: i32;
    /// Group, `[nsite]`.
    site_group = SITE_GROUP: i32;
    /// Size, m, `[nsite, 3]`.
    site_size, site_size_mut = SITE_SIZE: f64;
    /// Place in the body's frame, m, `[nsite, 3]`. To write it: [`Model::set_site_frame`].
    site_pos = SITE_POS: f64;
    /// Orientation in the body's frame, `[nsite, 4]`. To write it: [`Model::set_site_frame`].
    site_quat = SITE_QUAT: f64;
    /// Colour, `[nsite, 4]`.
    site_rgba, site_rgba_mut = SITE_RGBA: f32;

    /// Type (`mjtEq`: 0 connect, 1 weld, 2 joint, 3 tendon), `[neq]`.
    eq_type = EQ_TYPE: i32;
    /// First object, `[neq]`.
    eq_obj1id = EQ_OBJ1ID: i32;
    /// Second object, `[neq]`.
    eq_obj2id = EQ_OBJ2ID: i32;
    /// Kind of both objects (`mjtObj`), `[neq]`.
    eq_objtype = EQ_OBJTYPE: i32;
    /// Is active after a reset, `[neq]`.
    eq_active0 = EQ_ACTIVE0: bool;
    /// Solver reference, `[neq, 2]`.
    eq_solref = EQ_SOLREF: f64;
    /// Solver impedance, `[neq, 5]`.
    eq_solimp = EQ_SOLIMP: f64;
    /// Parameters by type; of a weld: anchor (3), relative position (3), relative quaternion (4), torque scale, `[neq, 12]`.
    eq_data, eq_data_mut = EQ_DATA: f64;
    /// `(body1 + 1) << 16 | body2 + 1` of excluded pairs, as MuJoCo keeps it, `[nexclude]`.
    exclude_signature = EXCLUDE_SIGNATURE: i32;

    /// First object on the path, `[ntendon]`.
    tendon_adr = TENDON_ADR: i32;
    /// Number of objects on the path, `[ntendon]`.
    tendon_num = TENDON_NUM: i32;
    /// Has limits, `[ntendon]`.
    tendon_limited = TENDON_LIMITED: bool;
    /// Solver reference at the limit, `[ntendon, 2]`.
    tendon_solref_lim = TENDON_SOLREF_LIM: f64;
    /// Solver impedance at the limit, `[ntendon, 5]`.
    tendon_solimp_lim = TENDON_SOLIMP_LIM: f64;
    /// Limits of the length, m, `[ntendon, 2]`.
    tendon_range = TENDON_RANGE: f64;
    /// Distance at which a limit is noticed, `[ntendon]`.
    tendon_margin = TENDON_MARGIN: f64;
    /// Stiffness, `[ntendon]`.
    tendon_stiffness = TENDON_STIFFNESS: f64;
    /// Damping, `[ntendon]`.
    tendon_damping = TENDON_DAMPING: f64;
    /// Friction loss, `[ntendon]`.
    tendon_frictionloss = TENDON_FRICTIONLOSS: f64;
    /// Range of the spring's resting length, m, `[ntendon, 2]`.
    tendon_lengthspring = TENDON_LENGTHSPRING: f64;
    /// Length in the default pose, m, `[ntendon]`.
    tendon_length0 = TENDON_LENGTH0: f64;
    /// Inverse weight in the default pose, `[ntendon]`.
    tendon_invweight0 = TENDON_INVWEIGHT0: f64;
    /// Type of each object on a path (`mjtWrap`), `[nwrap]`.
    wrap_type = WRAP_TYPE: i32;
    /// Id of each object on a path, `[nwrap]`.
    wrap_objid = WRAP_OBJID: i32;
    /// Coefficient of each object on a path, `[nwrap]`.
    wrap_prm = WRAP_PRM: f64;

    /// Type of transmission (`mjtTrn`), `[nactuator]`.
    actuator_trntype = ACTUATOR_TRNTYPE: i32;
    /// Type of dynamics (`mjtDyn`), `[nactuator]`.
    actuator_dyntype = ACTUATOR_DYNTYPE: i32;
    /// Type of gain (`mjtGain`), `[nactuator]`.
    actuator_gaintype = ACTUATOR_GAINTYPE: i32;
    /// Type of bias (`mjtBias`), `[nactuator]`.
    actuator_biastype = ACTUATOR_BIASTYPE: i32;
    /// What is driven, -1 for none, `[nactuator, 2]`.
    actuator_trnid = ACTUATOR_TRNID: i32;
    /// First activation state or -1, `[nactuator]`.
    actuator_actadr = ACTUATOR_ACTADR: i32;
    /// Number of activation states, `[nactuator]`.
    actuator_actnum = ACTUATOR_ACTNUM: i32;
    /// Parameters of the dynamics, `[nactuator, 10]`.
    actuator_dynprm = ACTUATOR_DYNPRM: f64;
    /// Parameters of the gain, `[nactuator, 10]`.
    actuator_gainprm = ACTUATOR_GAINPRM: f64;
    /// Parameters of the bias, `[nactuator, 10]`.
    actuator_biasprm = ACTUATOR_BIASPRM: f64;
    /// Is the control limited, `[nu]`.
    actuator_ctrllimited = ACTUATOR_CTRLLIMITED: bool;
    /// Limits of the control, `[nu, 2]`.
    actuator_ctrlrange = ACTUATOR_CTRLRANGE: f64;
    /// Is the force limited, `[nactuator]`.
    actuator_forcelimited = ACTUATOR_FORCELIMITED: bool;
    /// Limits of the force, `[nactuator, 2]`.
    actuator_forcerange = ACTUATOR_FORCERANGE: f64;
    /// Gear, one row a force output (one an actuator but for special transmissions), `[nout, 6]`.
    actuator_gear = ACTUATOR_GEAR: f64;
    /// Acceleration by a unit force in the default pose, `[nout]`.
    actuator_acc0 = ACTUATOR_ACC0: f64;
    /// Length in the default pose, `[nout]`.
    actuator_length0 = ACTUATOR_LENGTH0: f64;

    /// Type (`mjtSensor`), `[nsensor]`.
    sensor_type = SENSOR_TYPE: i32;
    /// Kind of what is sensed (`mjtObj`), `[nsensor]`.
    sensor_objtype = SENSOR_OBJTYPE: i32;
    /// Id of what is sensed, `[nsensor]`.
    sensor_objid = SENSOR_OBJID: i32;
    /// Kind of the reference frame (`mjtObj`), `[nsensor]`.
    sensor_reftype = SENSOR_REFTYPE: i32;
    /// Id of the reference frame, -1 for the world, `[nsensor]`.
    sensor_refid = SENSOR_REFID: i32;
    /// Numbers that it gives, `[nsensor]`.
    sensor_dim = SENSOR_DIM: i32;
    /// Where they stand in `sensordata`, `[nsensor]`.
    sensor_adr = SENSOR_ADR: i32;
    /// Cut-off, 0 for none, `[nsensor]`.
    sensor_cutoff = SENSOR_CUTOFF: f64;
    /// Declared noise (never added by the library), `[nsensor]`.
    sensor_noise = SENSOR_NOISE: f64;
}

impl Model {
    /// The slice of `sensordata` that a named sensor fills.
    pub fn sensor_range(&self, name: &str) -> Result<std::ops::Range<usize>> {
        let id = self.id(Kind::Sensor, name)?;
        let start = self.sensor_adr()[id] as usize;
        Ok(start..start + self.sensor_dim()[id] as usize)
    }

    /// Move a geom in its body: place (m) and orientation (unit quaternion).
    ///
    /// # Panics
    /// If there is no geom `id`.
    pub fn set_geom_frame(&mut self, id: usize, pos: [f64; 3], quat: [f64; 4]) {
        // SAFETY: the model is live and exclusively borrowed. Zero (`mjSAMEFRAME_NONE`) makes the library use the frame
        // that is written here instead of a short cut.
        unsafe {
            let model = self.raw_mut();
            model::GEOM_SAMEFRAME.slice_mut(model, model)[id] = 0;
            model::GEOM_POS.slice_mut(model, model)[3 * id..3 * id + 3].copy_from_slice(&pos);
            model::GEOM_QUAT.slice_mut(model, model)[4 * id..4 * id + 4].copy_from_slice(&quat);
        }
    }

    /// Move a site in its body: place (m) and orientation (unit quaternion).
    ///
    /// # Panics
    /// If there is no site `id`.
    pub fn set_site_frame(&mut self, id: usize, pos: [f64; 3], quat: [f64; 4]) {
        // SAFETY: as in `set_geom_frame`.
        unsafe {
            let model = self.raw_mut();
            model::SITE_SAMEFRAME.slice_mut(model, model)[id] = 0;
            model::SITE_POS.slice_mut(model, model)[3 * id..3 * id + 3].copy_from_slice(&pos);
            model::SITE_QUAT.slice_mut(model, model)[4 * id..4 * id + 4].copy_from_slice(&quat);
        }
    }

    /// Length of a physics step, s.
    pub fn timestep(&self) -> f64 {
        // SAFETY: the options lie in the live model.
        unsafe { fields::option::TIMESTEP.get(self.raw().add(model::OPT)) }
    }
}

/// Copies of the fields of a structure inside the model.
macro_rules! structure {
    ($(#[$doc:meta])* $name:ident, $module:ident, $base:ident, $getter:ident, $get_doc:literal;
     $($(#[$field_doc:meta])* $field:ident: $type:ty = $place:ident . $how:ident;)*) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl Model {
            #[doc = $get_doc]
            pub fn $getter(&self) -> $name {
                // SAFETY: the structure lies in the live model, of the table's version.
                unsafe {
                    let at = self.raw().add(model::$base);
                    $name { $($field: fields::$module::$place.$how(at),)* }
                }
            }
        }
    };
}

structure! {
    /// Physics options (`mjOption`), under MuJoCo's names.
    Options, option, OPT, options, "The physics options.";
    /// Length of a physics step, s.
    timestep: f64 = TIMESTEP.get;
    /// Ratio of friction to normal contact impedance.
    impratio: f64 = IMPRATIO.get;
    /// Tolerance of the solver.
    tolerance: f64 = TOLERANCE.get;
    /// Tolerance of the line search.
    ls_tolerance: f64 = LS_TOLERANCE.get;
    /// Tolerance of the no-slip solver.
    noslip_tolerance: f64 = NOSLIP_TOLERANCE.get;
    /// Tolerance of the convex collision solver.
    ccd_tolerance: f64 = CCD_TOLERANCE.get;
    /// Velocity below which trees may sleep.
    sleep_tolerance: f64 = SLEEP_TOLERANCE.get;
    /// Gravity, m/s^2.
    gravity: [f64; 3] = GRAVITY.array;
    /// Wind, m/s.
    wind: [f64; 3] = WIND.array;
    /// Magnetic flux.
    magnetic: [f64; 3] = MAGNETIC.array;
    /// Density of the medium, kg/m^3.
    density: f64 = DENSITY.get;
    /// Viscosity of the medium.
    viscosity: f64 = VISCOSITY.get;
    /// Contact override: margin.
    o_margin: f64 = O_MARGIN.get;
    /// Contact override: solver reference.
    o_solref: [f64; 2] = O_SOLREF.array;
    /// Contact override: solver impedance.
    o_solimp: [f64; 5] = O_SOLIMP.array;
    /// Contact override: friction.
    o_friction: [f64; 5] = O_FRICTION.array;
    /// Integrator (`mjtIntegrator`: 0 Euler, 1 RK4, 2 implicit, 3 implicitfast).
    integrator: i32 = INTEGRATOR.get;
    /// Friction cone (`mjtCone`: 0 pyramidal, 1 elliptic).
    cone: i32 = CONE.get;
    /// Jacobian (`mjtJacobian`: 0 dense, 1 sparse, 2 auto).
    jacobian: i32 = JACOBIAN.get;
    /// Solver (`mjtSolver`: 0 PGS, 1 CG, 2 Newton).
    solver: i32 = SOLVER.get;
    /// Most iterations of the solver.
    iterations: i32 = ITERATIONS.get;
    /// Most iterations of the line search.
    ls_iterations: i32 = LS_ITERATIONS.get;
    /// Most iterations of the no-slip solver.
    noslip_iterations: i32 = NOSLIP_ITERATIONS.get;
    /// Most iterations of the convex collision solver.
    ccd_iterations: i32 = CCD_ITERATIONS.get;
    /// Bits of what is switched off (`mjtDisableBit`).
    disableflags: i32 = DISABLEFLAGS.get;
    /// Bits of what is switched on (`mjtEnableBit`).
    enableflags: i32 = ENABLEFLAGS.get;
    /// Bits of actuator groups that are switched off.
    disableactuator: i32 = DISABLEACTUATOR.get;
    /// Starting points of signed-distance collisions.
    sdf_initpoints: i32 = SDF_INITPOINTS.get;
    /// Most iterations of signed-distance collisions.
    sdf_iterations: i32 = SDF_ITERATIONS.get;
}

structure! {
    /// Statistics of the default pose (`mjStatistic`), under MuJoCo's names.
    Statistics, statistic, STAT, statistics, "The statistics of the default pose.";
    /// Mean diagonal inertia.
    meaninertia: f64 = MEANINERTIA.get;
    /// Mean mass of a body, kg.
    meanmass: f64 = MEANMASS.get;
    /// Mean size of a body, m.
    meansize: f64 = MEANSIZE.get;
    /// Extent, m.
    extent: f64 = EXTENT.get;
    /// Centre, m.
    center: [f64; 3] = CENTER.array;
}
