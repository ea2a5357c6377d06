//! Where the fields of MuJoCo's structures lie, asked of the C compiler.
//!
//! The wheel of the pinned version holds the library's headers. A small C program that includes them prints the offset,
//! element type and shape of every field; those that the binding reads become constants in `fields.rs`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use tony_mujoco::fetch;

use crate::Result;

/// Prints one line a field: `structure name type offset rows columns`, where `rows` is the name of the size that counts the
/// objects or a number. `PRINT` lines for single fields are put in from the lists below.
const PROGRAM: &str = r#"
#include <stddef.h>
#include <stdio.h>
#include <mujoco/mujoco.h>
#include <mujoco/mjxmacro.h>
#undef MJ_M
#define MJ_M(n) -1
#define KIND(s, f) _Generic(((s*)0)->f, \
    double: "f64", double*: "f64", float: "f32", float*: "f32", int: "i32", int*: "i32", int64_t: "i64", uint64_t: "u64", \
    _Bool: "bool", _Bool*: "bool", unsigned char: "u8", unsigned char*: "u8", char*: "char", default: "other")
#define LINE(s, f, kind, rows, cols) printf("%s %s %s %zu %s %d\n", #s, #f, kind, offsetof(s, f), rows, (int)(cols))
#define PRINT(s, f) LINE(s, f, KIND(s, f), "1", 1)
#define PRINT_ARRAY(s, f, kind) LINE(s, f, kind, "1", sizeof(((s*)0)->f) / sizeof(((s*)0)->f[0]))
int main(void) {
  printf("VERSION %d\n", mjVERSION_HEADER);
  printf("SIZEOF_CONTACT %zu\n", sizeof(mjContact));
  printf("SIZEOF_WARNING %zu\n", sizeof(mjWarningStat));
  printf("WARNINGS %d\n", mjNWARNING);
  printf("STATE_INTEGRATION %d\n", mjSTATE_INTEGRATION);
#define X(f) PRINT(mjModel, f);
  MJMODEL_SIZES
#undef X
#define X(type, f, rows, cols) LINE(mjModel, f, KIND(mjModel, f), #rows, cols);
  MJMODEL_POINTERS
#undef X
#define X(type, f, rows, cols) LINE(mjData, f, KIND(mjData, f), #rows, cols);
  MJDATA_POINTERS
#undef X
#define X(type, f) LINE(mjData, f, KIND(mjData, f), "1", 1);
  MJDATA_SCALAR
#undef X
#define X(type, f, n) LINE(mjOption, f, KIND(mjOption, f), "1", n);
#define XVEC(type, f, n) LINE(mjOption, f, KIND(mjOption, f[0]), "1", n);
  MJOPTION_FIELDS
#undef X
#undef XVEC
#define X(f, n) LINE(mjStatistic, f, KIND(mjStatistic, f), "1", n);
#define XVEC(f, n) LINE(mjStatistic, f, KIND(mjStatistic, f[0]), "1", n);
  MJSTATISTIC_FIELDS
#undef X
#undef XVEC
  PRINT(mjModel, opt); PRINT(mjModel, stat);
  PRINT(mjData, warning); PRINT(mjData, contact); PRINT_ARRAY(mjData, energy, "f64");
  PRINT(mjWarningStat, lastinfo); PRINT(mjWarningStat, number);
  PRINT(mjContact, dist); PRINT(mjContact, includemargin); PRINT(mjContact, dim);
  PRINT(mjContact, exclude); PRINT(mjContact, efc_address);
  PRINT_ARRAY(mjContact, pos, "f64"); PRINT_ARRAY(mjContact, frame, "f64"); PRINT_ARRAY(mjContact, friction, "f64");
  PRINT_ARRAY(mjContact, geom, "i32");
  PRINT(mjLogMessage, level); PRINT_ARRAY(mjLogMessage, subject, "char");
  return 0;
}
"#;

/// Constants that the program prints by name.
const NUMBERS: &[&str] = &["VERSION", "SIZEOF_CONTACT", "SIZEOF_WARNING", "WARNINGS", "STATE_INTEGRATION"];

/// Sizes of a model that the binding reads besides those that count the rows of an array.
const SIZES: &[&str] = &[
    "nq",
    "nv",
    "nu",
    "nactuator",
    "nout",
    "na",
    "nbody",
    "njnt",
    "ntree",
    "nC",
    "ngeom",
    "nsite",
    "nmesh",
    "npair",
    "nexclude",
    "neq",
    "ntendon",
    "nwrap",
    "nsensor",
    "nkey",
    "nmocap",
    "nplugin",
    "nuserdata",
    "nsensordata",
    "npluginstate",
    "nhistory",
];

/// Arrays of a model that the binding reads.
const MODEL: &[&str] = &[
    "qpos0",
    "qpos_spring",
    "body_parentid",
    "body_rootid",
    "body_weldid",
    "body_mocapid",
    "body_jntnum",
    "body_jntadr",
    "body_dofnum",
    "body_dofadr",
    "body_geomnum",
    "body_geomadr",
    "body_sameframe",
    "body_pos",
    "body_quat",
    "body_ipos",
    "body_iquat",
    "body_mass",
    "body_subtreemass",
    "body_inertia",
    "body_invweight0",
    "body_gravcomp",
    "jnt_type",
    "jnt_qposadr",
    "jnt_dofadr",
    "jnt_bodyid",
    "jnt_group",
    "jnt_limited",
    "jnt_actfrclimited",
    "jnt_solref",
    "jnt_solimp",
    "jnt_pos",
    "jnt_axis",
    "jnt_stiffness",
    "jnt_range",
    "jnt_actfrcrange",
    "jnt_margin",
    "dof_bodyid",
    "dof_jntid",
    "dof_parentid",
    "dof_solref",
    "dof_solimp",
    "dof_frictionloss",
    "dof_armature",
    "dof_damping",
    "dof_invweight0",
    "dof_M0",
    "geom_type",
    "geom_contype",
    "geom_conaffinity",
    "geom_condim",
    "geom_bodyid",
    "geom_dataid",
    "geom_group",
    "geom_priority",
    "geom_sameframe",
    "geom_solmix",
    "geom_solref",
    "geom_solimp",
    "geom_size",
    "geom_aabb",
    "geom_rbound",
    "geom_pos",
    "geom_quat",
    "geom_friction",
    "geom_margin",
    "geom_gap",
    "geom_rgba",
    "site_type",
    "site_bodyid",
    "site_group",
    "site_sameframe",
    "site_size",
    "site_pos",
    "site_quat",
    "site_rgba",
    "eq_type",
    "eq_obj1id",
    "eq_obj2id",
    "eq_objtype",
    "eq_active0",
    "eq_solref",
    "eq_solimp",
    "eq_data",
    "exclude_signature",
    "tendon_adr",
    "tendon_num",
    "tendon_limited",
    "tendon_solref_lim",
    "tendon_solimp_lim",
    "tendon_range",
    "tendon_margin",
    "tendon_stiffness",
    "tendon_damping",
    "tendon_frictionloss",
    "tendon_lengthspring",
    "tendon_length0",
    "tendon_invweight0",
    "wrap_type",
    "wrap_objid",
    "wrap_prm",
    "actuator_trntype",
    "actuator_dyntype",
    "actuator_gaintype",
    "actuator_biastype",
    "actuator_trnid",
    "actuator_actadr",
    "actuator_actnum",
    "actuator_dynprm",
    "actuator_gainprm",
    "actuator_biasprm",
    "actuator_ctrllimited",
    "actuator_ctrlrange",
    "actuator_forcelimited",
    "actuator_forcerange",
    "actuator_gear",
    "actuator_acc0",
    "actuator_length0",
    "sensor_type",
    "sensor_objtype",
    "sensor_objid",
    "sensor_reftype",
    "sensor_refid",
    "sensor_dim",
    "sensor_adr",
    "sensor_cutoff",
    "sensor_noise",
];

/// Arrays and numbers of the data that the binding reads.
const DATA: &[&str] = &[
    "qpos",
    "qvel",
    "act",
    "qacc_warmstart",
    "ctrl",
    "qfrc_applied",
    "xfrc_applied",
    "eq_active",
    "mocap_pos",
    "mocap_quat",
    "qacc",
    "act_dot",
    "userdata",
    "sensordata",
    "xpos",
    "xquat",
    "xmat",
    "xipos",
    "ximat",
    "xanchor",
    "xaxis",
    "geom_xpos",
    "geom_xmat",
    "site_xpos",
    "site_xmat",
    "subtree_com",
    "cinert",
    "ten_length",
    "ten_velocity",
    "actuator_length",
    "actuator_velocity",
    "cvel",
    "qfrc_bias",
    "qfrc_passive",
    "subtree_linvel",
    "subtree_angmom",
    "actuator_force",
    "qfrc_actuator",
    "qfrc_constraint",
    "cacc",
    "cfrc_int",
    "cfrc_ext",
    "time",
    "ncon",
    "nefc",
];

/// Regenerate the field table.
pub fn run() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let wheel = fetch::download_wheel(&fetch::Environment::of_process(), scratch.path())?;
    unzip_headers(&wheel, scratch.path())?;
    let table = ask_compiler(scratch.path())?;
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../mujoco/src/fields.rs");
    fs::write(&target, render(&table)?)?;
    let status = Command::new("rustfmt").args(["--edition", "2024"]).arg(&target).status()?;
    if !status.success() {
        return Err(format!("rustfmt failed on {}", target.display()).into());
    }
    eprintln!("wrote {}", target.display());
    Ok(())
}

/// Lay out `mujoco/include/mujoco/*.h` of the wheel as `mujoco/*.h` below `into`.
fn unzip_headers(wheel: &Path, into: &Path) -> Result<()> {
    let mut archive = zip::ZipArchive::new(fs::File::open(wheel)?)?;
    fs::create_dir_all(into.join("mujoco"))?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let Some(name) = entry.enclosed_name() else { continue };
        let (Ok(header), Some("h")) = (name.strip_prefix("mujoco/include"), name.extension().and_then(|e| e.to_str()))
        else {
            continue;
        };
        if header.components().count() == 2 {
            std::io::copy(&mut entry, &mut fs::File::create(into.join(header))?)?;
        }
    }
    Ok(())
}

/// One field as the C program printed it.
struct Field {
    kind: String,
    offset: usize,
    rows: String,
    columns: i64,
}

/// What the C program printed.
struct Table {
    numbers: BTreeMap<String, i64>,
    /// (structure, field) -> where it lies.
    fields: BTreeMap<(String, String), Field>,
}

/// Compile and run the C program.
fn ask_compiler(scratch: &Path) -> Result<Table> {
    let source = scratch.join("fields.c");
    let program: PathBuf = scratch.join("fields");
    fs::write(&source, PROGRAM)?;
    let status =
        Command::new("cc").args(["-std=c11", "-I"]).arg(scratch).arg("-o").arg(&program).arg(&source).status()?;
    if !status.success() {
        return Err("cc could not compile the program that prints the fields".into());
    }
    let output = String::from_utf8(Command::new(&program).output()?.stdout)?;
    let mut table = Table { numbers: BTreeMap::new(), fields: BTreeMap::new() };
    for line in output.lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            [name, number] => {
                table.numbers.insert(name.into(), number.parse()?);
            }
            [structure, name, kind, offset, rows, columns] => {
                let field =
                    Field { kind: kind.into(), offset: offset.parse()?, rows: rows.into(), columns: columns.parse()? };
                table.fields.insert((structure.into(), name.into()), field);
            }
            _ => return Err(format!("the program that prints the fields wrote `{line}`").into()),
        }
    }
    Ok(table)
}

/// The text of `fields.rs`.
fn render(table: &Table) -> Result<String> {
    let mut text = format!(
        "//! Where the fields of MuJoCo {}'s structures lie on 64-bit Linux, and their shapes.\n//!\n\
         //! Made by `cargo run -p xtask -- mujoco-fields` from the headers in the wheel of that version; do not edit.\n\
         //! `Library::open` proves the table on a model whose sizes and values are known.\n\n\
         use super::field::{{Array, Place, Size}};\n\n",
        fetch::VERSION
    );
    for &name in NUMBERS {
        let number = table.numbers.get(name).ok_or_else(|| format!("no constant {name}"))?;
        let kind = if name == "VERSION" || name.starts_with("STATE") { "i32" } else { "usize" };
        writeln!(text, "pub const {name}: {kind} = {number};")?;
    }
    let get = |structure: &str, name: &str| {
        table
            .fields
            .get(&(structure.to_owned(), name.to_owned()))
            .ok_or_else(|| format!("{structure} has no field {name}"))
    };

    text.push_str("\n/// `mjModel`.\npub mod model {\nuse super::*;\n");
    for &name in SIZES {
        writeln!(
            text,
            "pub const {}: Size = Size::new(\"{name}\", {});",
            constant(name),
            get("mjModel", name)?.offset
        )?;
    }
    writeln!(text, "pub const OPT: usize = {};", get("mjModel", "opt")?.offset)?;
    writeln!(text, "pub const STAT: usize = {};", get("mjModel", "stat")?.offset)?;
    arrays(&mut text, "mjModel", MODEL, "", &get)?;
    text.push_str("}\n\n/// `mjData`.\npub mod data {\nuse super::*;\n");
    let (scalars, rows): (Vec<&str>, Vec<&str>) = DATA.iter().partition(|name| ["time", "ncon", "nefc"].contains(name));
    places(&mut text, "mjData", &scalars, &get)?;
    places(&mut text, "mjData", &["energy"], &get)?;
    writeln!(text, "pub const WARNING: usize = {};", get("mjData", "warning")?.offset)?;
    writeln!(text, "pub const CONTACT: usize = {};", get("mjData", "contact")?.offset)?;
    arrays(&mut text, "mjData", &rows, "model::", &get)?;
    text.push_str("}\n");

    for (structure, module) in [
        ("mjOption", "option"),
        ("mjStatistic", "statistic"),
        ("mjContact", "contact"),
        ("mjWarningStat", "warning"),
        ("mjLogMessage", "log"),
    ] {
        writeln!(text, "\n/// `{structure}`.\npub mod {module} {{\nuse super::*;\n")?;
        let names: Vec<&str> =
            table.fields.keys().filter(|(s, _)| s == structure).map(|(_, name)| name.as_str()).collect();
        places(&mut text, structure, &names, &get)?;
        text.push_str("}\n");
    }
    Ok(text)
}

/// Constants for arrays that a pointer in the structure leads to.
fn arrays<'a>(
    text: &mut String,
    structure: &str,
    names: &[&str],
    module: &str,
    get: &dyn Fn(&str, &str) -> std::result::Result<&'a Field, String>,
) -> Result<()> {
    for &name in names {
        let Field { kind, offset, rows, columns } = get(structure, name)?;
        if *columns < 1 || !["f64", "f32", "i32", "bool", "u8"].contains(&kind.as_str()) {
            return Err(format!("{structure}.{name} is not an array of numbers with a fixed number of columns").into());
        }
        let rows = constant(rows);
        let short = constant(name);
        writeln!(
            text,
            "pub const {short}: Array<{kind}> = Array::new(\"{name}\", {offset}, {module}{rows}, {columns});"
        )?;
    }
    writeln!(
        text,
        "/// Every array, for the proof at load.\npub const ARRAYS: &[(&str, usize, Size, usize, usize)] = &["
    )?;
    for &name in names {
        writeln!(text, "{}.facts(),", constant(name))?;
    }
    text.push_str("];\n");
    Ok(())
}

/// Constants for numbers that lie in the structure itself.
fn places<'a>(
    text: &mut String,
    structure: &str,
    names: &[&str],
    get: &dyn Fn(&str, &str) -> std::result::Result<&'a Field, String>,
) -> Result<()> {
    for &name in names {
        let Field { kind, offset, columns, .. } = get(structure, name)?;
        let kind = if kind == "char" { "u8" } else { kind };
        let short = constant(name);
        writeln!(text, "pub const {short}: Place<{kind}, {columns}> = Place::new({offset});")?;
    }
    Ok(())
}

/// `dof_M0` -> `DOF_M0`.
fn constant(name: &str) -> String {
    name.to_uppercase()
}
