//! Where the fields of MuJoCo 3.17.0's structures lie on 64-bit Linux, and their shapes.
//!
//! Made by `cargo run -p xtask -- mujoco-fields` from the headers in the wheel of that version; do not edit.
//! `Library::open` proves the table on a model whose sizes and values are known.

use crate::field::{Array, Entry, Place, Size};

pub const VERSION: i32 = 3017000;
pub const SIZEOF_CONTACT: usize = 584;
pub const WARNINGS: usize = 7;
pub const STATE_INTEGRATION: i32 = 16383;

/// `mjModel`.
pub mod model {
    use super::*;
    pub const NQ: Size = Size::new("nq", 0);
    pub const NV: Size = Size::new("nv", 8);
    pub const NU: Size = Size::new("nu", 16);
    pub const NACTUATOR: Size = Size::new("nactuator", 24);
    pub const NOUT: Size = Size::new("nout", 32);
    pub const NA: Size = Size::new("na", 40);
    pub const NBODY: Size = Size::new("nbody", 48);
    pub const NJNT: Size = Size::new("njnt", 88);
    pub const NTREE: Size = Size::new("ntree", 96);
    pub const NC: Size = Size::new("nC", 120);
    pub const NGEOM: Size = Size::new("ngeom", 136);
    pub const NSITE: Size = Size::new("nsite", 144);
    pub const NMESH: Size = Size::new("nmesh", 296);
    pub const NMESHVERT: Size = Size::new("nmeshvert", 304);
    pub const NMESHFACE: Size = Size::new("nmeshface", 328);
    pub const NFLEX: Size = Size::new("nflex", 168);
    pub const NPAIR: Size = Size::new("npair", 456);
    pub const NEXCLUDE: Size = Size::new("nexclude", 464);
    pub const NEQ: Size = Size::new("neq", 472);
    pub const NTENDON: Size = Size::new("ntendon", 480);
    pub const NWRAP: Size = Size::new("nwrap", 496);
    pub const NSENSOR: Size = Size::new("nsensor", 504);
    pub const NKEY: Size = Size::new("nkey", 560);
    pub const NMOCAP: Size = Size::new("nmocap", 568);
    pub const NPLUGIN: Size = Size::new("nplugin", 576);
    pub const NUSERDATA: Size = Size::new("nuserdata", 736);
    pub const NSENSORDATA: Size = Size::new("nsensordata", 744);
    pub const NPLUGINSTATE: Size = Size::new("npluginstate", 752);
    pub const NHISTORY: Size = Size::new("nhistory", 760);
    pub const NBUFFER: Size = Size::new("nbuffer", 776);
    pub const SIZES: &[Size] = &[
        NQ,
        NV,
        NU,
        NACTUATOR,
        NOUT,
        NA,
        NBODY,
        NJNT,
        NTREE,
        NC,
        NGEOM,
        NSITE,
        NMESH,
        NMESHVERT,
        NMESHFACE,
        NFLEX,
        NPAIR,
        NEXCLUDE,
        NEQ,
        NTENDON,
        NWRAP,
        NSENSOR,
        NKEY,
        NMOCAP,
        NPLUGIN,
        NUSERDATA,
        NSENSORDATA,
        NPLUGINSTATE,
        NHISTORY,
        NBUFFER,
    ];
    pub const OPT: usize = 792;
    pub const STAT: usize = 1728;
    pub const BUFFER: usize = 1784;
    pub const QPOS0: Array<f64> = Array::new("qpos0", 1792, NQ, 1);
    pub const QPOS_SPRING: Array<f64> = Array::new("qpos_spring", 1800, NQ, 1);
    pub const BODY_PARENTID: Array<i32> = Array::new("body_parentid", 1808, NBODY, 1);
    pub const BODY_ROOTID: Array<i32> = Array::new("body_rootid", 1816, NBODY, 1);
    pub const BODY_WELDID: Array<i32> = Array::new("body_weldid", 1824, NBODY, 1);
    pub const BODY_MOCAPID: Array<i32> = Array::new("body_mocapid", 1832, NBODY, 1);
    pub const BODY_JNTNUM: Array<i32> = Array::new("body_jntnum", 1840, NBODY, 1);
    pub const BODY_JNTADR: Array<i32> = Array::new("body_jntadr", 1848, NBODY, 1);
    pub const BODY_DOFNUM: Array<i32> = Array::new("body_dofnum", 1856, NBODY, 1);
    pub const BODY_DOFADR: Array<i32> = Array::new("body_dofadr", 1864, NBODY, 1);
    pub const BODY_GEOMNUM: Array<i32> = Array::new("body_geomnum", 1880, NBODY, 1);
    pub const BODY_GEOMADR: Array<i32> = Array::new("body_geomadr", 1888, NBODY, 1);
    pub const BODY_SAMEFRAME: Array<u8> = Array::new("body_sameframe", 1904, NBODY, 1);
    pub const BODY_POS: Array<f64> = Array::new("body_pos", 1912, NBODY, 3);
    pub const BODY_QUAT: Array<f64> = Array::new("body_quat", 1920, NBODY, 4);
    pub const BODY_IPOS: Array<f64> = Array::new("body_ipos", 1928, NBODY, 3);
    pub const BODY_IQUAT: Array<f64> = Array::new("body_iquat", 1936, NBODY, 4);
    pub const BODY_MASS: Array<f64> = Array::new("body_mass", 1944, NBODY, 1);
    pub const BODY_SUBTREEMASS: Array<f64> = Array::new("body_subtreemass", 1952, NBODY, 1);
    pub const BODY_INERTIA: Array<f64> = Array::new("body_inertia", 1960, NBODY, 3);
    pub const BODY_INVWEIGHT0: Array<f64> = Array::new("body_invweight0", 1968, NBODY, 2);
    pub const BODY_GRAVCOMP: Array<f64> = Array::new("body_gravcomp", 1976, NBODY, 1);
    pub const JNT_TYPE: Array<i32> = Array::new("jnt_type", 2104, NJNT, 1);
    pub const JNT_QPOSADR: Array<i32> = Array::new("jnt_qposadr", 2112, NJNT, 1);
    pub const JNT_DOFADR: Array<i32> = Array::new("jnt_dofadr", 2120, NJNT, 1);
    pub const JNT_BODYID: Array<i32> = Array::new("jnt_bodyid", 2128, NJNT, 1);
    pub const JNT_GROUP: Array<i32> = Array::new("jnt_group", 2144, NJNT, 1);
    pub const JNT_LIMITED: Array<bool> = Array::new("jnt_limited", 2152, NJNT, 1);
    pub const JNT_ACTFRCLIMITED: Array<bool> = Array::new("jnt_actfrclimited", 2160, NJNT, 1);
    pub const JNT_SOLREF: Array<f64> = Array::new("jnt_solref", 2176, NJNT, 2);
    pub const JNT_SOLIMP: Array<f64> = Array::new("jnt_solimp", 2184, NJNT, 5);
    pub const JNT_POS: Array<f64> = Array::new("jnt_pos", 2192, NJNT, 3);
    pub const JNT_AXIS: Array<f64> = Array::new("jnt_axis", 2200, NJNT, 3);
    pub const JNT_STIFFNESS: Array<f64> = Array::new("jnt_stiffness", 2208, NJNT, 1);
    pub const JNT_RANGE: Array<f64> = Array::new("jnt_range", 2224, NJNT, 2);
    pub const JNT_ACTFRCRANGE: Array<f64> = Array::new("jnt_actfrcrange", 2232, NJNT, 2);
    pub const JNT_MARGIN: Array<f64> = Array::new("jnt_margin", 2240, NJNT, 1);
    pub const DOF_BODYID: Array<i32> = Array::new("dof_bodyid", 2256, NV, 1);
    pub const DOF_JNTID: Array<i32> = Array::new("dof_jntid", 2264, NV, 1);
    pub const DOF_PARENTID: Array<i32> = Array::new("dof_parentid", 2272, NV, 1);
    pub const DOF_SOLREF: Array<f64> = Array::new("dof_solref", 2304, NV, 2);
    pub const DOF_SOLIMP: Array<f64> = Array::new("dof_solimp", 2312, NV, 5);
    pub const DOF_FRICTIONLOSS: Array<f64> = Array::new("dof_frictionloss", 2320, NV, 1);
    pub const DOF_ARMATURE: Array<f64> = Array::new("dof_armature", 2328, NV, 1);
    pub const DOF_DAMPING: Array<f64> = Array::new("dof_damping", 2336, NV, 1);
    pub const DOF_INVWEIGHT0: Array<f64> = Array::new("dof_invweight0", 2352, NV, 1);
    pub const DOF_M0: Array<f64> = Array::new("dof_M0", 2360, NV, 1);
    pub const GEOM_TYPE: Array<i32> = Array::new("geom_type", 2416, NGEOM, 1);
    pub const GEOM_CONTYPE: Array<i32> = Array::new("geom_contype", 2424, NGEOM, 1);
    pub const GEOM_CONAFFINITY: Array<i32> = Array::new("geom_conaffinity", 2432, NGEOM, 1);
    pub const GEOM_CONDIM: Array<i32> = Array::new("geom_condim", 2440, NGEOM, 1);
    pub const GEOM_BODYID: Array<i32> = Array::new("geom_bodyid", 2448, NGEOM, 1);
    pub const GEOM_DATAID: Array<i32> = Array::new("geom_dataid", 2456, NGEOM, 1);
    pub const GEOM_GROUP: Array<i32> = Array::new("geom_group", 2472, NGEOM, 1);
    pub const GEOM_PRIORITY: Array<i32> = Array::new("geom_priority", 2480, NGEOM, 1);
    pub const GEOM_SAMEFRAME: Array<u8> = Array::new("geom_sameframe", 2496, NGEOM, 1);
    pub const GEOM_SOLMIX: Array<f64> = Array::new("geom_solmix", 2504, NGEOM, 1);
    pub const GEOM_SOLREF: Array<f64> = Array::new("geom_solref", 2512, NGEOM, 2);
    pub const GEOM_SOLIMP: Array<f64> = Array::new("geom_solimp", 2520, NGEOM, 5);
    pub const GEOM_SIZE: Array<f64> = Array::new("geom_size", 2528, NGEOM, 3);
    pub const GEOM_AABB: Array<f64> = Array::new("geom_aabb", 2536, NGEOM, 6);
    pub const GEOM_RBOUND: Array<f64> = Array::new("geom_rbound", 2544, NGEOM, 1);
    pub const GEOM_POS: Array<f64> = Array::new("geom_pos", 2552, NGEOM, 3);
    pub const GEOM_QUAT: Array<f64> = Array::new("geom_quat", 2560, NGEOM, 4);
    pub const GEOM_FRICTION: Array<f64> = Array::new("geom_friction", 2568, NGEOM, 3);
    pub const GEOM_MARGIN: Array<f64> = Array::new("geom_margin", 2576, NGEOM, 1);
    pub const GEOM_GAP: Array<f64> = Array::new("geom_gap", 2584, NGEOM, 1);
    pub const GEOM_RGBA: Array<f32> = Array::new("geom_rgba", 2624, NGEOM, 4);
    pub const MESH_VERTADR: Array<i32> = Array::new("mesh_vertadr", 3664, NMESH, 1);
    pub const MESH_VERTNUM: Array<i32> = Array::new("mesh_vertnum", 3672, NMESH, 1);
    pub const MESH_FACEADR: Array<i32> = Array::new("mesh_faceadr", 3680, NMESH, 1);
    pub const MESH_FACENUM: Array<i32> = Array::new("mesh_facenum", 3688, NMESH, 1);
    pub const MESH_VERT: Array<f32> = Array::new("mesh_vert", 3776, NMESHVERT, 3);
    pub const MESH_FACE: Array<i32> = Array::new("mesh_face", 3800, NMESHFACE, 3);
    pub const SITE_TYPE: Array<i32> = Array::new("site_type", 2632, NSITE, 1);
    pub const SITE_BODYID: Array<i32> = Array::new("site_bodyid", 2640, NSITE, 1);
    pub const SITE_GROUP: Array<i32> = Array::new("site_group", 2664, NSITE, 1);
    pub const SITE_SAMEFRAME: Array<u8> = Array::new("site_sameframe", 2672, NSITE, 1);
    pub const SITE_SIZE: Array<f64> = Array::new("site_size", 2680, NSITE, 3);
    pub const SITE_POS: Array<f64> = Array::new("site_pos", 2688, NSITE, 3);
    pub const SITE_QUAT: Array<f64> = Array::new("site_quat", 2696, NSITE, 4);
    pub const SITE_RGBA: Array<f32> = Array::new("site_rgba", 2712, NSITE, 4);
    pub const EQ_TYPE: Array<i32> = Array::new("eq_type", 4408, NEQ, 1);
    pub const EQ_OBJ1ID: Array<i32> = Array::new("eq_obj1id", 4416, NEQ, 1);
    pub const EQ_OBJ2ID: Array<i32> = Array::new("eq_obj2id", 4424, NEQ, 1);
    pub const EQ_OBJTYPE: Array<i32> = Array::new("eq_objtype", 4432, NEQ, 1);
    pub const EQ_ACTIVE0: Array<bool> = Array::new("eq_active0", 4440, NEQ, 1);
    pub const EQ_SOLREF: Array<f64> = Array::new("eq_solref", 4448, NEQ, 2);
    pub const EQ_SOLIMP: Array<f64> = Array::new("eq_solimp", 4456, NEQ, 5);
    pub const EQ_DATA: Array<f64> = Array::new("eq_data", 4464, NEQ, 12);
    pub const EXCLUDE_SIGNATURE: Array<i32> = Array::new("exclude_signature", 4400, NEXCLUDE, 1);
    pub const TENDON_ADR: Array<i32> = Array::new("tendon_adr", 4472, NTENDON, 1);
    pub const TENDON_NUM: Array<i32> = Array::new("tendon_num", 4480, NTENDON, 1);
    pub const TENDON_LIMITED: Array<bool> = Array::new("tendon_limited", 4552, NTENDON, 1);
    pub const TENDON_SOLREF_LIM: Array<f64> = Array::new("tendon_solref_lim", 4576, NTENDON, 2);
    pub const TENDON_SOLIMP_LIM: Array<f64> = Array::new("tendon_solimp_lim", 4584, NTENDON, 5);
    pub const TENDON_RANGE: Array<f64> = Array::new("tendon_range", 4608, NTENDON, 2);
    pub const TENDON_MARGIN: Array<f64> = Array::new("tendon_margin", 4624, NTENDON, 1);
    pub const TENDON_STIFFNESS: Array<f64> = Array::new("tendon_stiffness", 4632, NTENDON, 1);
    pub const TENDON_DAMPING: Array<f64> = Array::new("tendon_damping", 4648, NTENDON, 1);
    pub const TENDON_FRICTIONLOSS: Array<f64> = Array::new("tendon_frictionloss", 4672, NTENDON, 1);
    pub const TENDON_LENGTHSPRING: Array<f64> = Array::new("tendon_lengthspring", 4680, NTENDON, 2);
    pub const TENDON_LENGTH0: Array<f64> = Array::new("tendon_length0", 4688, NTENDON, 1);
    pub const TENDON_INVWEIGHT0: Array<f64> = Array::new("tendon_invweight0", 4696, NTENDON, 1);
    pub const WRAP_TYPE: Array<i32> = Array::new("wrap_type", 4720, NWRAP, 1);
    pub const WRAP_OBJID: Array<i32> = Array::new("wrap_objid", 4728, NWRAP, 1);
    pub const WRAP_PRM: Array<f64> = Array::new("wrap_prm", 4736, NWRAP, 1);
    pub const ACTUATOR_TRNTYPE: Array<i32> = Array::new("actuator_trntype", 4744, NACTUATOR, 1);
    pub const ACTUATOR_DYNTYPE: Array<i32> = Array::new("actuator_dyntype", 4752, NACTUATOR, 1);
    pub const ACTUATOR_GAINTYPE: Array<i32> = Array::new("actuator_gaintype", 4760, NACTUATOR, 1);
    pub const ACTUATOR_BIASTYPE: Array<i32> = Array::new("actuator_biastype", 4768, NACTUATOR, 1);
    pub const ACTUATOR_TRNID: Array<i32> = Array::new("actuator_trnid", 4832, NACTUATOR, 2);
    pub const ACTUATOR_ACTADR: Array<i32> = Array::new("actuator_actadr", 4816, NACTUATOR, 1);
    pub const ACTUATOR_ACTNUM: Array<i32> = Array::new("actuator_actnum", 4824, NACTUATOR, 1);
    pub const ACTUATOR_DYNPRM: Array<f64> = Array::new("actuator_dynprm", 4848, NACTUATOR, 10);
    pub const ACTUATOR_GAINPRM: Array<f64> = Array::new("actuator_gainprm", 4856, NACTUATOR, 10);
    pub const ACTUATOR_BIASPRM: Array<f64> = Array::new("actuator_biasprm", 4864, NACTUATOR, 10);
    pub const ACTUATOR_CTRLLIMITED: Array<bool> = Array::new("actuator_ctrllimited", 4984, NU, 1);
    pub const ACTUATOR_CTRLRANGE: Array<f64> = Array::new("actuator_ctrlrange", 4992, NU, 2);
    pub const ACTUATOR_FORCELIMITED: Array<bool> = Array::new("actuator_forcelimited", 4968, NACTUATOR, 1);
    pub const ACTUATOR_FORCERANGE: Array<f64> = Array::new("actuator_forcerange", 4976, NACTUATOR, 2);
    pub const ACTUATOR_GEAR: Array<f64> = Array::new("actuator_gear", 5000, NOUT, 6);
    pub const ACTUATOR_ACC0: Array<f64> = Array::new("actuator_acc0", 5008, NOUT, 1);
    pub const ACTUATOR_LENGTH0: Array<f64> = Array::new("actuator_length0", 5016, NOUT, 1);
    pub const SENSOR_TYPE: Array<i32> = Array::new("sensor_type", 5032, NSENSOR, 1);
    pub const SENSOR_OBJTYPE: Array<i32> = Array::new("sensor_objtype", 5056, NSENSOR, 1);
    pub const SENSOR_OBJID: Array<i32> = Array::new("sensor_objid", 5064, NSENSOR, 1);
    pub const SENSOR_REFTYPE: Array<i32> = Array::new("sensor_reftype", 5072, NSENSOR, 1);
    pub const SENSOR_REFID: Array<i32> = Array::new("sensor_refid", 5080, NSENSOR, 1);
    pub const SENSOR_DIM: Array<i32> = Array::new("sensor_dim", 5096, NSENSOR, 1);
    pub const SENSOR_ADR: Array<i32> = Array::new("sensor_adr", 5104, NSENSOR, 1);
    pub const SENSOR_CUTOFF: Array<f64> = Array::new("sensor_cutoff", 5112, NSENSOR, 1);
    pub const SENSOR_NOISE: Array<f64> = Array::new("sensor_noise", 5120, NSENSOR, 1);
    pub const ARRAYS: &[Entry] = &[
        QPOS0.entry(),
        QPOS_SPRING.entry(),
        BODY_PARENTID.entry(),
        BODY_ROOTID.entry(),
        BODY_WELDID.entry(),
        BODY_MOCAPID.entry(),
        BODY_JNTNUM.entry(),
        BODY_JNTADR.entry(),
        BODY_DOFNUM.entry(),
        BODY_DOFADR.entry(),
        BODY_GEOMNUM.entry(),
        BODY_GEOMADR.entry(),
        BODY_SAMEFRAME.entry(),
        BODY_POS.entry(),
        BODY_QUAT.entry(),
        BODY_IPOS.entry(),
        BODY_IQUAT.entry(),
        BODY_MASS.entry(),
        BODY_SUBTREEMASS.entry(),
        BODY_INERTIA.entry(),
        BODY_INVWEIGHT0.entry(),
        BODY_GRAVCOMP.entry(),
        JNT_TYPE.entry(),
        JNT_QPOSADR.entry(),
        JNT_DOFADR.entry(),
        JNT_BODYID.entry(),
        JNT_GROUP.entry(),
        JNT_LIMITED.entry(),
        JNT_ACTFRCLIMITED.entry(),
        JNT_SOLREF.entry(),
        JNT_SOLIMP.entry(),
        JNT_POS.entry(),
        JNT_AXIS.entry(),
        JNT_STIFFNESS.entry(),
        JNT_RANGE.entry(),
        JNT_ACTFRCRANGE.entry(),
        JNT_MARGIN.entry(),
        DOF_BODYID.entry(),
        DOF_JNTID.entry(),
        DOF_PARENTID.entry(),
        DOF_SOLREF.entry(),
        DOF_SOLIMP.entry(),
        DOF_FRICTIONLOSS.entry(),
        DOF_ARMATURE.entry(),
        DOF_DAMPING.entry(),
        DOF_INVWEIGHT0.entry(),
        DOF_M0.entry(),
        GEOM_TYPE.entry(),
        GEOM_CONTYPE.entry(),
        GEOM_CONAFFINITY.entry(),
        GEOM_CONDIM.entry(),
        GEOM_BODYID.entry(),
        GEOM_DATAID.entry(),
        GEOM_GROUP.entry(),
        GEOM_PRIORITY.entry(),
        GEOM_SAMEFRAME.entry(),
        GEOM_SOLMIX.entry(),
        GEOM_SOLREF.entry(),
        GEOM_SOLIMP.entry(),
        GEOM_SIZE.entry(),
        GEOM_AABB.entry(),
        GEOM_RBOUND.entry(),
        GEOM_POS.entry(),
        GEOM_QUAT.entry(),
        GEOM_FRICTION.entry(),
        GEOM_MARGIN.entry(),
        GEOM_GAP.entry(),
        GEOM_RGBA.entry(),
        MESH_VERTADR.entry(),
        MESH_VERTNUM.entry(),
        MESH_FACEADR.entry(),
        MESH_FACENUM.entry(),
        MESH_VERT.entry(),
        MESH_FACE.entry(),
        SITE_TYPE.entry(),
        SITE_BODYID.entry(),
        SITE_GROUP.entry(),
        SITE_SAMEFRAME.entry(),
        SITE_SIZE.entry(),
        SITE_POS.entry(),
        SITE_QUAT.entry(),
        SITE_RGBA.entry(),
        EQ_TYPE.entry(),
        EQ_OBJ1ID.entry(),
        EQ_OBJ2ID.entry(),
        EQ_OBJTYPE.entry(),
        EQ_ACTIVE0.entry(),
        EQ_SOLREF.entry(),
        EQ_SOLIMP.entry(),
        EQ_DATA.entry(),
        EXCLUDE_SIGNATURE.entry(),
        TENDON_ADR.entry(),
        TENDON_NUM.entry(),
        TENDON_LIMITED.entry(),
        TENDON_SOLREF_LIM.entry(),
        TENDON_SOLIMP_LIM.entry(),
        TENDON_RANGE.entry(),
        TENDON_MARGIN.entry(),
        TENDON_STIFFNESS.entry(),
        TENDON_DAMPING.entry(),
        TENDON_FRICTIONLOSS.entry(),
        TENDON_LENGTHSPRING.entry(),
        TENDON_LENGTH0.entry(),
        TENDON_INVWEIGHT0.entry(),
        WRAP_TYPE.entry(),
        WRAP_OBJID.entry(),
        WRAP_PRM.entry(),
        ACTUATOR_TRNTYPE.entry(),
        ACTUATOR_DYNTYPE.entry(),
        ACTUATOR_GAINTYPE.entry(),
        ACTUATOR_BIASTYPE.entry(),
        ACTUATOR_TRNID.entry(),
        ACTUATOR_ACTADR.entry(),
        ACTUATOR_ACTNUM.entry(),
        ACTUATOR_DYNPRM.entry(),
        ACTUATOR_GAINPRM.entry(),
        ACTUATOR_BIASPRM.entry(),
        ACTUATOR_CTRLLIMITED.entry(),
        ACTUATOR_CTRLRANGE.entry(),
        ACTUATOR_FORCELIMITED.entry(),
        ACTUATOR_FORCERANGE.entry(),
        ACTUATOR_GEAR.entry(),
        ACTUATOR_ACC0.entry(),
        ACTUATOR_LENGTH0.entry(),
        SENSOR_TYPE.entry(),
        SENSOR_OBJTYPE.entry(),
        SENSOR_OBJID.entry(),
        SENSOR_REFTYPE.entry(),
        SENSOR_REFID.entry(),
        SENSOR_DIM.entry(),
        SENSOR_ADR.entry(),
        SENSOR_CUTOFF.entry(),
        SENSOR_NOISE.entry(),
    ];
}

/// `mjData`.
pub mod data {
    use super::*;
    pub const WARNING: usize = 160264;
    pub const CONTACT: usize = 161472;
    pub const BUFFER: usize = 160672;
    pub const ARENA: usize = 160680;
    pub const QPOS: Array<f64> = Array::new("qpos", 160688, model::NQ, 1);
    pub const QVEL: Array<f64> = Array::new("qvel", 160696, model::NV, 1);
    pub const ACT: Array<f64> = Array::new("act", 160704, model::NA, 1);
    pub const QACC_WARMSTART: Array<f64> = Array::new("qacc_warmstart", 160720, model::NV, 1);
    pub const CTRL: Array<f64> = Array::new("ctrl", 160736, model::NU, 1);
    pub const QFRC_APPLIED: Array<f64> = Array::new("qfrc_applied", 160744, model::NV, 1);
    pub const XFRC_APPLIED: Array<f64> = Array::new("xfrc_applied", 160752, model::NBODY, 6);
    pub const EQ_ACTIVE: Array<bool> = Array::new("eq_active", 160760, model::NEQ, 1);
    pub const MOCAP_POS: Array<f64> = Array::new("mocap_pos", 160768, model::NMOCAP, 3);
    pub const MOCAP_QUAT: Array<f64> = Array::new("mocap_quat", 160776, model::NMOCAP, 4);
    pub const QACC: Array<f64> = Array::new("qacc", 160784, model::NV, 1);
    pub const ACT_DOT: Array<f64> = Array::new("act_dot", 160792, model::NA, 1);
    pub const USERDATA: Array<f64> = Array::new("userdata", 160800, model::NUSERDATA, 1);
    pub const SENSORDATA: Array<f64> = Array::new("sensordata", 160808, model::NSENSORDATA, 1);
    pub const XPOS: Array<f64> = Array::new("xpos", 160840, model::NBODY, 3);
    pub const XQUAT: Array<f64> = Array::new("xquat", 160848, model::NBODY, 4);
    pub const XMAT: Array<f64> = Array::new("xmat", 160856, model::NBODY, 9);
    pub const XIPOS: Array<f64> = Array::new("xipos", 160864, model::NBODY, 3);
    pub const XIMAT: Array<f64> = Array::new("ximat", 160872, model::NBODY, 9);
    pub const XANCHOR: Array<f64> = Array::new("xanchor", 160880, model::NJNT, 3);
    pub const XAXIS: Array<f64> = Array::new("xaxis", 160888, model::NJNT, 3);
    pub const GEOM_XPOS: Array<f64> = Array::new("geom_xpos", 160896, model::NGEOM, 3);
    pub const GEOM_XMAT: Array<f64> = Array::new("geom_xmat", 160904, model::NGEOM, 9);
    pub const SITE_XPOS: Array<f64> = Array::new("site_xpos", 160912, model::NSITE, 3);
    pub const SITE_XMAT: Array<f64> = Array::new("site_xmat", 160920, model::NSITE, 9);
    pub const SUBTREE_COM: Array<f64> = Array::new("subtree_com", 160960, model::NBODY, 3);
    pub const CINERT: Array<f64> = Array::new("cinert", 160976, model::NBODY, 10);
    pub const TEN_LENGTH: Array<f64> = Array::new("ten_length", 161112, model::NTENDON, 1);
    pub const TEN_VELOCITY: Array<f64> = Array::new("ten_velocity", 161264, model::NTENDON, 1);
    pub const ACTUATOR_LENGTH: Array<f64> = Array::new("actuator_length", 161136, model::NOUT, 1);
    pub const ACTUATOR_VELOCITY: Array<f64> = Array::new("actuator_velocity", 161272, model::NOUT, 1);
    pub const CVEL: Array<f64> = Array::new("cvel", 161280, model::NBODY, 6);
    pub const QFRC_BIAS: Array<f64> = Array::new("qfrc_bias", 161296, model::NV, 1);
    pub const QFRC_PASSIVE: Array<f64> = Array::new("qfrc_passive", 161344, model::NV, 1);
    pub const SUBTREE_LINVEL: Array<f64> = Array::new("subtree_linvel", 161352, model::NBODY, 3);
    pub const SUBTREE_ANGMOM: Array<f64> = Array::new("subtree_angmom", 161360, model::NBODY, 3);
    pub const ACTUATOR_FORCE: Array<f64> = Array::new("actuator_force", 161400, model::NOUT, 1);
    pub const QFRC_ACTUATOR: Array<f64> = Array::new("qfrc_actuator", 161408, model::NV, 1);
    pub const QFRC_CONSTRAINT: Array<f64> = Array::new("qfrc_constraint", 161432, model::NV, 1);
    pub const CACC: Array<f64> = Array::new("cacc", 161448, model::NBODY, 6);
    pub const CFRC_INT: Array<f64> = Array::new("cfrc_int", 161456, model::NBODY, 6);
    pub const CFRC_EXT: Array<f64> = Array::new("cfrc_ext", 161464, model::NBODY, 6);
    pub const ARRAYS: &[Entry] = &[
        QPOS.entry(),
        QVEL.entry(),
        ACT.entry(),
        QACC_WARMSTART.entry(),
        CTRL.entry(),
        QFRC_APPLIED.entry(),
        XFRC_APPLIED.entry(),
        EQ_ACTIVE.entry(),
        MOCAP_POS.entry(),
        MOCAP_QUAT.entry(),
        QACC.entry(),
        ACT_DOT.entry(),
        USERDATA.entry(),
        SENSORDATA.entry(),
        XPOS.entry(),
        XQUAT.entry(),
        XMAT.entry(),
        XIPOS.entry(),
        XIMAT.entry(),
        XANCHOR.entry(),
        XAXIS.entry(),
        GEOM_XPOS.entry(),
        GEOM_XMAT.entry(),
        SITE_XPOS.entry(),
        SITE_XMAT.entry(),
        SUBTREE_COM.entry(),
        CINERT.entry(),
        TEN_LENGTH.entry(),
        TEN_VELOCITY.entry(),
        ACTUATOR_LENGTH.entry(),
        ACTUATOR_VELOCITY.entry(),
        CVEL.entry(),
        QFRC_BIAS.entry(),
        QFRC_PASSIVE.entry(),
        SUBTREE_LINVEL.entry(),
        SUBTREE_ANGMOM.entry(),
        ACTUATOR_FORCE.entry(),
        QFRC_ACTUATOR.entry(),
        QFRC_CONSTRAINT.entry(),
        CACC.entry(),
        CFRC_INT.entry(),
        CFRC_EXT.entry(),
    ];
    pub const TIME: Place<f64, 1> = Place::new("time", 160648);
    pub const NCON: Place<i32, 1> = Place::new("ncon", 160560);
    pub const NEFC: Place<i32, 1> = Place::new("nefc", 160576);
    pub const NBUFFER: Place<i64, 1> = Place::new("nbuffer", 8);
    pub const NARENA: Place<i64, 1> = Place::new("narena", 0);
    pub const PLACES: &[Entry] = &[TIME.entry(), NCON.entry(), NEFC.entry(), NBUFFER.entry(), NARENA.entry()];
}

/// `mjOption`.
pub mod option {
    use super::*;

    pub const CCD_ITERATIONS: Place<i32, 1> = Place::new("ccd_iterations", 276);
    pub const CCD_TOLERANCE: Place<f64, 1> = Place::new("ccd_tolerance", 40);
    pub const CONE: Place<i32, 1> = Place::new("cone", 252);
    pub const DENSITY: Place<f64, 1> = Place::new("density", 128);
    pub const DISABLEACTUATOR: Place<i32, 1> = Place::new("disableactuator", 288);
    pub const DISABLEFLAGS: Place<i32, 1> = Place::new("disableflags", 280);
    pub const ENABLEFLAGS: Place<i32, 1> = Place::new("enableflags", 284);
    pub const GRAVITY: Place<f64, 3> = Place::new("gravity", 56);
    pub const IMPRATIO: Place<f64, 1> = Place::new("impratio", 8);
    pub const INTEGRATOR: Place<i32, 1> = Place::new("integrator", 248);
    pub const ITERATIONS: Place<i32, 1> = Place::new("iterations", 264);
    pub const JACOBIAN: Place<i32, 1> = Place::new("jacobian", 256);
    pub const LS_ITERATIONS: Place<i32, 1> = Place::new("ls_iterations", 268);
    pub const LS_TOLERANCE: Place<f64, 1> = Place::new("ls_tolerance", 24);
    pub const MAGNETIC: Place<f64, 3> = Place::new("magnetic", 104);
    pub const NOSLIP_ITERATIONS: Place<i32, 1> = Place::new("noslip_iterations", 272);
    pub const NOSLIP_TOLERANCE: Place<f64, 1> = Place::new("noslip_tolerance", 32);
    pub const O_FRICTION: Place<f64, 5> = Place::new("o_friction", 208);
    pub const O_MARGIN: Place<f64, 1> = Place::new("o_margin", 144);
    pub const O_SOLIMP: Place<f64, 5> = Place::new("o_solimp", 168);
    pub const O_SOLREF: Place<f64, 2> = Place::new("o_solref", 152);
    pub const SDF_INITPOINTS: Place<i32, 1> = Place::new("sdf_initpoints", 292);
    pub const SDF_ITERATIONS: Place<i32, 1> = Place::new("sdf_iterations", 296);
    pub const SLEEP_TOLERANCE: Place<f64, 1> = Place::new("sleep_tolerance", 48);
    pub const SOLVER: Place<i32, 1> = Place::new("solver", 260);
    pub const TIMESTEP: Place<f64, 1> = Place::new("timestep", 0);
    pub const TOLERANCE: Place<f64, 1> = Place::new("tolerance", 16);
    pub const VISCOSITY: Place<f64, 1> = Place::new("viscosity", 136);
    pub const WIND: Place<f64, 3> = Place::new("wind", 80);
    pub const PLACES: &[Entry] = &[
        CCD_ITERATIONS.entry(),
        CCD_TOLERANCE.entry(),
        CONE.entry(),
        DENSITY.entry(),
        DISABLEACTUATOR.entry(),
        DISABLEFLAGS.entry(),
        ENABLEFLAGS.entry(),
        GRAVITY.entry(),
        IMPRATIO.entry(),
        INTEGRATOR.entry(),
        ITERATIONS.entry(),
        JACOBIAN.entry(),
        LS_ITERATIONS.entry(),
        LS_TOLERANCE.entry(),
        MAGNETIC.entry(),
        NOSLIP_ITERATIONS.entry(),
        NOSLIP_TOLERANCE.entry(),
        O_FRICTION.entry(),
        O_MARGIN.entry(),
        O_SOLIMP.entry(),
        O_SOLREF.entry(),
        SDF_INITPOINTS.entry(),
        SDF_ITERATIONS.entry(),
        SLEEP_TOLERANCE.entry(),
        SOLVER.entry(),
        TIMESTEP.entry(),
        TOLERANCE.entry(),
        VISCOSITY.entry(),
        WIND.entry(),
    ];
}

/// `mjStatistic`.
pub mod statistic {
    use super::*;

    pub const CENTER: Place<f64, 3> = Place::new("center", 32);
    pub const EXTENT: Place<f64, 1> = Place::new("extent", 24);
    pub const MEANINERTIA: Place<f64, 1> = Place::new("meaninertia", 0);
    pub const MEANMASS: Place<f64, 1> = Place::new("meanmass", 8);
    pub const MEANSIZE: Place<f64, 1> = Place::new("meansize", 16);
    pub const PLACES: &[Entry] =
        &[CENTER.entry(), EXTENT.entry(), MEANINERTIA.entry(), MEANMASS.entry(), MEANSIZE.entry()];
}

/// `mjContact`.
pub mod contact {
    use super::*;

    pub const DIM: Place<i32, 1> = Place::new("dim", 528);
    pub const DIST: Place<f64, 1> = Place::new("dist", 0);
    pub const EFC_ADDRESS: Place<i32, 1> = Place::new("efc_address", 576);
    pub const EXCLUDE: Place<i32, 1> = Place::new("exclude", 572);
    pub const FRAME: Place<f64, 9> = Place::new("frame", 32);
    pub const FRICTION: Place<f64, 5> = Place::new("friction", 112);
    pub const GEOM: Place<i32, 2> = Place::new("geom", 540);
    pub const INCLUDEMARGIN: Place<f64, 1> = Place::new("includemargin", 104);
    pub const POS: Place<f64, 3> = Place::new("pos", 8);
    pub const PLACES: &[Entry] = &[
        DIM.entry(),
        DIST.entry(),
        EFC_ADDRESS.entry(),
        EXCLUDE.entry(),
        FRAME.entry(),
        FRICTION.entry(),
        GEOM.entry(),
        INCLUDEMARGIN.entry(),
        POS.entry(),
    ];
}

/// `mjLogMessage`.
pub mod log {
    use super::*;

    pub const LEVEL: Place<i32, 1> = Place::new("level", 0);
    pub const SUBJECT: Place<u8, 1024> = Place::new("subject", 8);
    pub const PLACES: &[Entry] = &[LEVEL.entry(), SUBJECT.entry()];
}
