//! The compiled facts of a model as JSON, for comparisons and for people.

use serde_json::{Map, Value, json};

use crate::{Kind, Model};

impl Model {
    /// Everything that the compiler decided and the physics depends on: `opt`, `dims`, `qpos0`, `qpos_spring`, `stat`,
    /// `exclude_signature`, and by kind of object `body`, `joint`, `dof`, `geom`, `site`, `actuator`, `sensor`, `equality`,
    /// `tendon`. Fields have MuJoCo's names without the prefix; each is a column over the objects (rows of several numbers
    /// are lists). Types are written as MuJoCo's constants (`mjJNT_HINGE`).
    pub fn facts(&self) -> Value {
        let mut facts = json!({
            "opt": self.option_facts(),
            "dims": {
                "nq": self.nq(), "nv": self.nv(), "nu": self.nu(), "na": self.na(), "nbody": self.nbody(), "njnt": self.njnt(),
                "ngeom": self.ngeom(), "nsite": self.nsite(), "nsensor": self.nsensor(), "nsensordata": self.nsensordata(),
                "neq": self.neq(), "ntendon": self.ntendon(), "nmocap": self.nmocap(), "nmesh": self.nmesh(),
                "npair": self.npair(), "nexclude": self.nexclude(),
            },
            "qpos0": self.qpos0(),
            "qpos_spring": self.qpos_spring(),
            "exclude_signature": self.exclude_signature(),
        });
        let stat = self.statistics();
        facts["stat"] = json!({
            "meanmass": stat.meanmass, "meaninertia": stat.meaninertia, "meansize": stat.meansize, "extent": stat.extent,
            "center": stat.center,
        });
        for (kind, columns) in [
            ("body", self.body_facts()),
            ("joint", self.joint_facts()),
            ("dof", self.dof_facts()),
            ("geom", self.geom_facts()),
            ("site", self.site_facts()),
            ("actuator", self.actuator_facts()),
            ("sensor", self.sensor_facts()),
            ("equality", self.equality_facts()),
            ("tendon", self.tendon_facts()),
        ] {
            facts[kind] = Value::Object(columns);
        }
        facts
    }

    fn option_facts(&self) -> Value {
        let o = self.options();
        json!({
            "timestep": o.timestep, "impratio": o.impratio, "tolerance": o.tolerance, "ls_tolerance": o.ls_tolerance,
            "noslip_tolerance": o.noslip_tolerance, "ccd_tolerance": o.ccd_tolerance, "sleep_tolerance": o.sleep_tolerance,
            "gravity": o.gravity, "wind": o.wind, "magnetic": o.magnetic, "density": o.density, "viscosity": o.viscosity,
            "o_margin": o.o_margin, "o_solref": o.o_solref, "o_solimp": o.o_solimp, "o_friction": o.o_friction,
            "integrator": constant("mjINT", &INTEGRATORS, o.integrator), "cone": constant("mjCONE", &CONES, o.cone),
            "jacobian": constant("mjJAC", &JACOBIANS, o.jacobian), "solver": constant("mjSOL", &SOLVERS, o.solver),
            "iterations": o.iterations, "ls_iterations": o.ls_iterations, "noslip_iterations": o.noslip_iterations,
            "ccd_iterations": o.ccd_iterations, "disableflags": o.disableflags, "enableflags": o.enableflags,
            "disableactuator": o.disableactuator, "sdf_initpoints": o.sdf_initpoints, "sdf_iterations": o.sdf_iterations,
        })
    }

    fn body_facts(&self) -> Map<String, Value> {
        Columns::new(self, Kind::Body, self.nbody())
            .add("parentid", self.body_parentid())
            .rows("pos", self.body_pos(), 3)
            .rows("quat", self.body_quat(), 4)
            .rows("ipos", self.body_ipos(), 3)
            .rows("iquat", self.body_iquat(), 4)
            .add("mass", self.body_mass())
            .rows("inertia", self.body_inertia(), 3)
            .add("mocapid", self.body_mocapid())
            .add("gravcomp", self.body_gravcomp())
            .done()
    }

    fn joint_facts(&self) -> Map<String, Value> {
        Columns::new(self, Kind::Joint, self.njnt())
            .constants("type", self.jnt_type(), "mjJNT", &JOINTS)
            .add("bodyid", self.jnt_bodyid())
            .add("qposadr", self.jnt_qposadr())
            .add("dofadr", self.jnt_dofadr())
            .rows("pos", self.jnt_pos(), 3)
            .rows("axis", self.jnt_axis(), 3)
            .add("limited", self.jnt_limited())
            .rows("range", self.jnt_range(), 2)
            .add("stiffness", self.jnt_stiffness())
            .add("margin", self.jnt_margin())
            .rows("solref", self.jnt_solref(), 2)
            .rows("solimp", self.jnt_solimp(), 5)
            .add("actfrclimited", self.jnt_actfrclimited())
            .rows("actfrcrange", self.jnt_actfrcrange(), 2)
            .done()
    }

    fn dof_facts(&self) -> Map<String, Value> {
        Columns::default()
            .add("damping", self.dof_damping())
            .add("armature", self.dof_armature())
            .add("frictionloss", self.dof_frictionloss())
            .add("invweight0", self.dof_invweight0())
            .done()
    }

    fn geom_facts(&self) -> Map<String, Value> {
        Columns::new(self, Kind::Geom, self.ngeom())
            .constants("type", self.geom_type(), "mjGEOM", &GEOMS)
            .add("bodyid", self.geom_bodyid())
            .rows("pos", self.geom_pos(), 3)
            .rows("quat", self.geom_quat(), 4)
            .rows("size", self.geom_size(), 3)
            .rows("friction", self.geom_friction(), 3)
            .add("condim", self.geom_condim())
            .add("contype", self.geom_contype())
            .add("conaffinity", self.geom_conaffinity())
            .add("priority", self.geom_priority())
            .add("group", self.geom_group())
            .add("solmix", self.geom_solmix())
            .rows("solref", self.geom_solref(), 2)
            .rows("solimp", self.geom_solimp(), 5)
            .add("margin", self.geom_margin())
            .add("gap", self.geom_gap())
            .done()
    }

    fn site_facts(&self) -> Map<String, Value> {
        Columns::new(self, Kind::Site, self.nsite())
            .constants("type", self.site_type(), "mjGEOM", &GEOMS)
            .add("bodyid", self.site_bodyid())
            .rows("pos", self.site_pos(), 3)
            .rows("quat", self.site_quat(), 4)
            .rows("size", self.site_size(), 3)
            .done()
    }

    fn actuator_facts(&self) -> Map<String, Value> {
        Columns::new(self, Kind::Actuator, self.nactuator())
            .constants("trntype", self.actuator_trntype(), "mjTRN", &TRANSMISSIONS)
            .constants("dyntype", self.actuator_dyntype(), "mjDYN", &DYNAMICS)
            .constants("gaintype", self.actuator_gaintype(), "mjGAIN", &GAINS)
            .constants("biastype", self.actuator_biastype(), "mjBIAS", &BIASES)
            .rows("trnid", self.actuator_trnid(), 2)
            .rows("gear", self.actuator_gear(), 6)
            .add("ctrllimited", self.actuator_ctrllimited())
            .rows("ctrlrange", self.actuator_ctrlrange(), 2)
            .add("forcelimited", self.actuator_forcelimited())
            .rows("forcerange", self.actuator_forcerange(), 2)
            .rows("gainprm", self.actuator_gainprm(), 10)
            .rows("biasprm", self.actuator_biasprm(), 10)
            .rows("dynprm", self.actuator_dynprm(), 10)
            .done()
    }

    fn sensor_facts(&self) -> Map<String, Value> {
        Columns::new(self, Kind::Sensor, self.nsensor())
            .constants("type", self.sensor_type(), "mjSENS", &SENSORS)
            .constants("objtype", self.sensor_objtype(), "mjOBJ", &OBJECTS)
            .add("objid", self.sensor_objid())
            .add("dim", self.sensor_dim())
            .add("adr", self.sensor_adr())
            .add("cutoff", self.sensor_cutoff())
            .add("noise", self.sensor_noise())
            .done()
    }

    fn equality_facts(&self) -> Map<String, Value> {
        Columns::new(self, Kind::Equality, self.neq())
            .constants("type", self.eq_type(), "mjEQ", &EQUALITIES)
            .add("obj1id", self.eq_obj1id())
            .add("obj2id", self.eq_obj2id())
            .add("active0", self.eq_active0())
            .rows("solref", self.eq_solref(), 2)
            .rows("solimp", self.eq_solimp(), 5)
            .rows("data", self.eq_data(), 12)
            .done()
    }

    fn tendon_facts(&self) -> Map<String, Value> {
        Columns::new(self, Kind::Tendon, self.ntendon())
            .add("adr", self.tendon_adr())
            .add("num", self.tendon_num())
            .add("limited", self.tendon_limited())
            .rows("range", self.tendon_range(), 2)
            .add("stiffness", self.tendon_stiffness())
            .add("damping", self.tendon_damping())
            .add("frictionloss", self.tendon_frictionloss())
            .rows("lengthspring", self.tendon_lengthspring(), 2)
            .add("wrap_type", self.wrap_type())
            .add("wrap_objid", self.wrap_objid())
            .add("wrap_prm", self.wrap_prm())
            .done()
    }
}

/// Columns of one kind of object.
#[derive(Default)]
struct Columns(Map<String, Value>);

impl Columns {
    fn new(model: &Model, kind: Kind, count: usize) -> Self {
        let names: Vec<&str> = (0..count).map(|id| model.name(kind, id)).collect();
        Columns::default().add("name", &names)
    }

    fn add<T: serde::Serialize>(mut self, name: &str, values: &[T]) -> Self {
        self.0.insert(name.into(), json!(values));
        self
    }

    /// `width` numbers an object.
    fn rows(mut self, name: &str, values: &[impl serde::Serialize], width: usize) -> Self {
        self.0.insert(name.into(), values.chunks(width).map(|row| json!(row)).collect());
        self
    }

    fn constants(mut self, name: &str, values: &[i32], prefix: &str, names: &[&str]) -> Self {
        self.0.insert(name.into(), values.iter().map(|&value| json!(constant(prefix, names, value))).collect());
        self
    }

    fn done(self) -> Map<String, Value> {
        self.0
    }
}

/// MuJoCo's name of a constant; one that is not in the list shows its number.
fn constant(prefix: &str, names: &[&str], value: i32) -> String {
    match usize::try_from(value).ok().and_then(|index| names.get(index)) {
        Some(name) => format!("{prefix}_{name}"),
        None => format!("{prefix} {value}"),
    }
}

// MuJoCo's enumerations, each from 0 on.
const INTEGRATORS: [&str; 5] = ["EULER", "RK4", "IMPLICIT", "IMPLICITFAST", "DISCRETE"];
const CONES: [&str; 2] = ["PYRAMIDAL", "ELLIPTIC"];
const JACOBIANS: [&str; 3] = ["DENSE", "SPARSE", "AUTO"];
const SOLVERS: [&str; 3] = ["PGS", "CG", "NEWTON"];
const JOINTS: [&str; 4] = ["FREE", "BALL", "SLIDE", "HINGE"];
const GEOMS: [&str; 9] = ["PLANE", "HFIELD", "SPHERE", "CAPSULE", "ELLIPSOID", "CYLINDER", "BOX", "MESH", "SDF"];
const TRANSMISSIONS: [&str; 7] = ["JOINT", "JOINTINPARENT", "SLIDERCRANK", "TENDON", "SITE", "BODY", "SO3"];
const DYNAMICS: [&str; 8] = ["NONE", "INTEGRATOR", "FILTER", "FILTEREXACT", "MUSCLE", "DCMOTOR", "PID", "USER"];
const GAINS: [&str; 7] = ["FIXED", "AFFINE", "MUSCLE", "DCMOTOR", "SO3", "PID", "USER"];
const BIASES: [&str; 6] = ["NONE", "AFFINE", "MUSCLE", "DCMOTOR", "SO3", "USER"];
const EQUALITIES: [&str; 8] = ["CONNECT", "WELD", "JOINT", "TENDON", "FLEX", "FLEXVERT", "FLEXSTRAIN", "DISTANCE"];
const OBJECTS: [&str; 7] = ["UNKNOWN", "BODY", "XBODY", "JOINT", "DOF", "GEOM", "SITE"];
#[rustfmt::skip]
const SENSORS: [&str; 48] = [
    "TOUCH", "ACCELEROMETER", "VELOCIMETER", "GYRO", "FORCE", "TORQUE", "MAGNETOMETER", "RANGEFINDER", "CAMPROJECTION",
    "JOINTPOS", "JOINTVEL", "TENDONPOS", "TENDONVEL", "ACTUATORPOS", "ACTUATORVEL", "ACTUATORFRC", "JOINTACTFRC", "TENDONACTFRC",
    "BALLQUAT", "BALLANGVEL", "JOINTLIMITPOS", "JOINTLIMITVEL", "JOINTLIMITFRC", "TENDONLIMITPOS", "TENDONLIMITVEL",
    "TENDONLIMITFRC", "FRAMEPOS", "FRAMEQUAT", "FRAMEXAXIS", "FRAMEYAXIS", "FRAMEZAXIS", "FRAMELINVEL", "FRAMEANGVEL",
    "FRAMELINACC", "FRAMEANGACC", "SUBTREECOM", "SUBTREELINVEL", "SUBTREEANGMOM", "INSIDESITE", "GEOMDIST", "GEOMNORMAL",
    "GEOMFROMTO", "CONTACT", "E_POTENTIAL", "E_KINETIC", "CLOCK", "TACTILE", "PLUGIN",
];
