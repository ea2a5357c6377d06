//! Where the fields of MuJoCo's structures lie, asked of the C compiler.
//!
//! The wheel of the pinned version holds the library and its headers. A small C program that includes them prints the offset,
//! element type and shape of every field; those that the binding reads become constants in `fields.rs`. The same program
//! then loads `probe.xml`, makes a few steps, and prints the value of every field as C reads it: `probe.txt`, against which
//! `Library::open` proves the table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use fs_err as fs;
use tony_mujoco::fetch;

use crate::Result;

/// Prints a line a field, `field STRUCTURE NAME TYPE OFFSET ROWS COLUMNS` (`ROWS` is the name of the size that counts the
/// objects, or a number), then of a model a line a field, `value STRUCTURE NAME NUMBERS`, and where the arrays lie in their
/// buffer, `place STRUCTURE NAME BYTES`.
const PROGRAM: &str = r#"
#include <stddef.h>
#include <stdio.h>
#include <mujoco/mujoco.h>
#include <mujoco/mjxmacro.h>
#undef MJ_M
#define MJ_M(n) -1
#define KIND(s, f) _Generic(((s*)0)->f, \
    double: "f64", double*: "f64", float: "f32", float*: "f32", int: "i32", int*: "i32", int64_t: "i64", uint64_t: "u64", \
    _Bool: "bool", _Bool*: "bool", unsigned char: "u8", unsigned char*: "u8", char: "u8", char*: "char", default: "other")

#define FIELD(s, f, kind, rows, cols) printf("field %s %s %s %zu %s %d\n", #s, #f, kind, offsetof(s, f), rows, (int)(cols));
#define ONE(s, f) FIELD(s, f, KIND(s, f), "1", 1)
#define MANY(s, f, n) FIELD(s, f, KIND(s, f[0]), "1", n)
#define ARRAY(s, f, rows, cols) FIELD(s, f, KIND(s, f), #rows, cols)

/* Fields that no list in the headers has. */
#define OTHERS \
  ONE(mjModel, opt) ONE(mjModel, stat) ONE(mjModel, buffer) ONE(mjData, buffer) ONE(mjData, arena) ONE(mjData, warning) \
  ONE(mjData, contact) ONE(mjWarningStat, lastinfo) ONE(mjWarningStat, number) \
  ONE(mjLogMessage, level) MANY(mjLogMessage, subject, 1024)
#define CONTACT \
  MANY(mjContact, pos, 3) MANY(mjContact, frame, 9) MANY(mjContact, friction, 5) MANY(mjContact, geom, 2) \
  ONE(mjContact, dist) ONE(mjContact, includemargin) ONE(mjContact, dim) ONE(mjContact, exclude) ONE(mjContact, efc_address)

static void table(void) {
  printf("number VERSION %d\n", mjVERSION_HEADER);
  printf("number SIZEOF_CONTACT %zu\n", sizeof(mjContact));
  printf("number WARNINGS %d\n", mjNWARNING);
  printf("number STATE_INTEGRATION %d\n", mjSTATE_INTEGRATION);
  OTHERS CONTACT
#define X(f) ONE(mjModel, f)
  MJMODEL_SIZES
#undef X
#define X(type, f, rows, cols) ARRAY(mjModel, f, rows, cols)
  MJMODEL_POINTERS
#undef X
#define X(type, f, rows, cols) ARRAY(mjData, f, rows, cols)
  MJDATA_POINTERS
#undef X
#define X(type, f) ONE(mjData, f)
  MJDATA_SCALAR
#undef X
#define X(type, f, n) ONE(mjOption, f)
#define XVEC(type, f, n) MANY(mjOption, f, n)
  MJOPTION_FIELDS
#undef X
#undef XVEC
#define X(f, n) ONE(mjStatistic, f)
#define XVEC(f, n) MANY(mjStatistic, f, n)
  MJSTATISTIC_FIELDS
#undef X
#undef XVEC
}

#define VALUES(s, f, p, n) { \
    printf("value %s %s", #s, #f); for (int i = 0; i < (int)(n); i++) printf(" %.17g", (double)(p)[i]); printf("\n"); }

#define PLACE(s, f, p) printf("place %s %s %td\n", #s, #f, (char*)p->f - (char*)p->buffer);

static void values(const mjModel* m, const mjData* d) {
#define X(f) VALUES(mjModel, f, &m->f, 1)
  MJMODEL_SIZES
#undef X
#define X(type, f, rows, cols) PLACE(mjModel, f, m) VALUES(mjModel, f, m->f, m->rows * (cols))
  MJMODEL_POINTERS
#undef X
#define X(type, f, n) VALUES(mjOption, f, &m->opt.f, 1)
#define XVEC(type, f, n) VALUES(mjOption, f, m->opt.f, n)
  MJOPTION_FIELDS
#undef X
#undef XVEC
#define X(f, n) VALUES(mjStatistic, f, &m->stat.f, 1)
#define XVEC(f, n) VALUES(mjStatistic, f, m->stat.f, n)
  MJSTATISTIC_FIELDS
#undef X
#undef XVEC
#define uintptr_t long
#define X(type, f, rows, cols) PLACE(mjData, f, d) VALUES(mjData, f, d->f, m->rows * (cols))
  MJDATA_POINTERS
#undef X
#define X(type, f) VALUES(mjData, f, &d->f, 1)
  MJDATA_SCALAR
#undef X
#undef ONE
#undef MANY
#define ONE(s, f) VALUES(s, f, &d->contact[d->ncon - 1].f, 1)
#define MANY(s, f, n) VALUES(s, f, d->contact[d->ncon - 1].f, n)
  CONTACT
}

int main(int argc, char** argv) {
  table();
  char error[1000] = "";
  mjModel* m = mj_loadXML(argv[1], NULL, error, sizeof error);
  if (!m) { fprintf(stderr, "%s\n", error); return 1; }
  mjData* d = mj_makeData(m);
  /* Inputs and steps as in proof.rs. */
  for (int i = 0; i < m->nv; i++) { d->qvel[i] = 0.1 * (i + 1); d->qfrc_applied[i] = 0.01 * (i + 1); }
  for (int i = 0; i < m->nu; i++) d->ctrl[i] = 0.05 * (i + 1);
  for (int i = 0; i < 6 * m->nbody; i++) d->xfrc_applied[i] = 0.001 * (i + 1);
  for (int i = 0; i < m->nuserdata; i++) d->userdata[i] = i + 1;
  d->mocap_pos[0] += 0.01;
  d->time = 0.5;
  for (int i = 0; i < 3; i++) mj_step(m, d);
  mj_forward(m, d);
  mj_subtreeVel(m, d);
  mj_rnePostConstraint(m, d);
  values(m, d);
  return 0;
}
"#;

/// Constants that the program prints by name.
const NUMBERS: &str = "VERSION SIZEOF_CONTACT WARNINGS STATE_INTEGRATION";

/// Sizes of a model that the binding reads besides those that count the rows of an array.
const SIZES: &str = "\
    nq nv nu nactuator nout na nbody njnt ntree nC ngeom nsite nmesh nmeshvert nmeshface nflex npair nexclude neq ntendon nwrap nsensor nkey \
    nmocap nplugin nuserdata nsensordata npluginstate nhistory nbuffer";

/// Arrays of a model that the binding reads.
const MODEL: &str = "\
    qpos0 qpos_spring body_parentid body_rootid body_weldid body_mocapid body_jntnum body_jntadr body_dofnum \
    body_dofadr body_geomnum body_geomadr body_sameframe body_pos body_quat body_ipos body_iquat body_mass \
    body_subtreemass body_inertia body_invweight0 body_gravcomp jnt_type jnt_qposadr jnt_dofadr jnt_bodyid \
    jnt_group jnt_limited jnt_actfrclimited jnt_solref jnt_solimp jnt_pos jnt_axis jnt_stiffness jnt_range \
    jnt_actfrcrange jnt_margin dof_bodyid dof_jntid dof_parentid dof_solref dof_solimp dof_frictionloss \
    dof_armature dof_damping dof_invweight0 dof_M0 geom_type geom_contype geom_conaffinity geom_condim geom_bodyid \
    geom_dataid geom_group geom_priority geom_sameframe geom_solmix geom_solref geom_solimp geom_size geom_aabb \
    geom_rbound geom_pos geom_quat geom_friction geom_margin geom_gap geom_rgba mesh_vertadr mesh_vertnum mesh_faceadr \
    mesh_facenum mesh_vert mesh_face site_type site_bodyid site_group site_sameframe site_size site_pos site_quat site_rgba eq_type eq_obj1id eq_obj2id eq_objtype eq_active0 \
    eq_solref eq_solimp eq_data exclude_signature tendon_adr tendon_num tendon_limited tendon_solref_lim \
    tendon_solimp_lim tendon_range tendon_margin tendon_stiffness tendon_damping tendon_frictionloss \
    tendon_lengthspring tendon_length0 tendon_invweight0 wrap_type wrap_objid wrap_prm actuator_trntype \
    actuator_dyntype actuator_gaintype actuator_biastype actuator_trnid actuator_actadr actuator_actnum \
    actuator_dynprm actuator_gainprm actuator_biasprm actuator_ctrllimited actuator_ctrlrange \
    actuator_forcelimited actuator_forcerange actuator_gear actuator_acc0 actuator_length0 sensor_type \
    sensor_objtype sensor_objid sensor_reftype sensor_refid sensor_dim sensor_adr sensor_cutoff sensor_noise";

/// Arrays of the data that the binding reads.
const DATA: &str = "\
    qpos qvel act qacc_warmstart ctrl qfrc_applied xfrc_applied eq_active mocap_pos mocap_quat qacc act_dot \
    userdata sensordata xpos xquat xmat xipos ximat xanchor xaxis geom_xpos geom_xmat site_xpos site_xmat \
    subtree_com cinert ten_length ten_velocity actuator_length actuator_velocity cvel qfrc_bias qfrc_passive \
    subtree_linvel subtree_angmom actuator_force qfrc_actuator qfrc_constraint cacc cfrc_int cfrc_ext";

/// Numbers in the data itself that the binding reads.
const DATA_NUMBERS: &str = "time ncon nefc nbuffer narena";

/// Structures whose fields lie in them: name in C, module in `fields.rs`.
const STRUCTURES: &[(&str, &str)] =
    &[("mjOption", "option"), ("mjStatistic", "statistic"), ("mjContact", "contact"), ("mjLogMessage", "log")];

/// Regenerate the field table and the probe's values.
pub fn run() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let environment = tony_fetch::Environment::of_process();
    let wheel = fetch::LIBRARY.download(&fetch::WHEEL, &environment, scratch.path())?;
    unzip(&wheel, scratch.path())?;
    let source = fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../mujoco/src"))?;
    let answer = ask_compiler(scratch.path(), &source.join("probe.xml"))?;
    let table = source.join("fields.rs");
    fs::write(&table, render_table(&answer)?)?;
    run_command(Command::new("rustfmt").args(["--edition", "2024"]).arg(&table))?;
    fs::write(source.join("probe.txt"), render_values(&answer)?)?;
    eprintln!("wrote {} and probe.txt beside it", table.display());
    Ok(())
}

/// Lay out the wheel's headers as `mujoco/*.h`, and the library, below `into`.
fn unzip(wheel: &Path, into: &Path) -> Result<()> {
    let mut archive = zip::ZipArchive::new(fs::File::open(wheel)?)?;
    fs::create_dir_all(into.join("mujoco"))?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let Some(name) = entry.enclosed_name() else { continue };
        let target = match name.strip_prefix("mujoco/include") {
            Ok(header) if header.extension().is_some_and(|e| e == "h") && header.components().count() == 2 => header,
            Err(_) if name == Path::new(fetch::WHEEL.member) => Path::new("libmujoco.so"),
            _ => continue,
        };
        std::io::copy(&mut entry, &mut fs::File::create(into.join(target))?)?;
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
#[derive(Default)]
struct Answer {
    numbers: BTreeMap<String, i64>,
    /// (structure, field) -> where it lies.
    fields: BTreeMap<(String, String), Field>,
    /// (structure, field) -> where an array of the probe lies in its buffer.
    places: BTreeMap<(String, String), usize>,
    /// (structure, field) -> its numbers in the probe.
    values: BTreeMap<(String, String), Vec<f64>>,
}

impl Answer {
    fn field(&self, structure: &str, name: &str) -> Result<&Field> {
        let key = (structure.to_owned(), name.to_owned());
        self.fields.get(&key).ok_or_else(|| format!("{structure} has no field {name}").into())
    }

    /// Names of all fields of a structure.
    fn names<'a>(&'a self, structure: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.keys().filter(move |(s, _)| s == structure).map(|(_, name)| name.as_str())
    }
}

/// Compile and run the C program.
fn ask_compiler(scratch: &Path, model: &Path) -> Result<Answer> {
    let source = scratch.join("fields.c");
    let program = scratch.join("fields");
    fs::write(&source, PROGRAM)?;
    // The library's own name is versioned; the loader looks for it by that.
    fs::copy(
        scratch.join("libmujoco.so"),
        scratch.join(Path::new(fetch::WHEEL.member).file_name().unwrap_or_default()),
    )?;
    run_command(Command::new("cc").args(["-std=c11", "-I"]).arg(scratch).arg("-o").arg(&program).arg(&source).args([
        "-lmujoco".into(),
        format!("-L{}", scratch.display()),
        format!("-Wl,-rpath,{}", scratch.display()),
    ]))?;
    let output = Command::new(&program).arg(model).output()?;
    if !output.status.success() {
        return Err(format!("the C program failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let mut answer = Answer::default();
    for line in String::from_utf8(output.stdout)?.lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["number", name, number] => {
                answer.numbers.insert(name.into(), number.parse()?);
            }
            ["field", structure, name, kind, offset, rows, columns] => {
                let field =
                    Field { kind: kind.into(), offset: offset.parse()?, rows: rows.into(), columns: columns.parse()? };
                answer.fields.insert((structure.into(), name.into()), field);
            }
            ["place", structure, name, bytes] => {
                answer.places.insert((structure.into(), name.into()), bytes.parse()?);
            }
            ["value", structure, name, ref numbers @ ..] => {
                let numbers: Vec<f64> =
                    numbers.iter().map(|number| number.parse()).collect::<std::result::Result<_, _>>()?;
                answer.values.insert((structure.into(), name.into()), numbers);
            }
            _ => return Err(format!("the C program wrote `{line}`").into()),
        }
    }
    Ok(answer)
}

fn run_command(command: &mut Command) -> Result<()> {
    if command.status()?.success() { Ok(()) } else { Err(format!("{command:?} failed").into()) }
}

/// The text of `fields.rs`.
fn render_table(answer: &Answer) -> Result<String> {
    let mut text = format!(
        "//! Where the fields of MuJoCo {}'s structures lie on 64-bit Linux, and their shapes.\n//!\n\
         //! Made by `cargo run -p xtask -- mujoco-fields` from the headers in the wheel of that version; do not edit.\n\
         //! `Library::open` proves the table on a model whose sizes and values are known.\n\n\
         use crate::field::{{Array, Entry, Place, Size}};\n\n",
        fetch::VERSION
    );
    for name in NUMBERS.split_whitespace() {
        let number = answer.numbers.get(name).ok_or_else(|| format!("no constant {name}"))?;
        let kind = if name == "VERSION" || name.starts_with("STATE") { "i32" } else { "usize" };
        writeln!(text, "pub const {name}: {kind} = {number};")?;
    }

    text.push_str("\n/// `mjModel`.\npub mod model {\nuse super::*;\n");
    for name in SIZES.split_whitespace() {
        writeln!(
            text,
            "pub const {}: Size = Size::new(\"{name}\", {});",
            constant(name),
            answer.field("mjModel", name)?.offset
        )?;
    }
    let sizes: Vec<String> = SIZES.split_whitespace().map(constant).collect();
    writeln!(text, "pub const SIZES: &[Size] = &[{}];", sizes.join(", "))?;
    offsets(&mut text, answer, "mjModel", "opt stat buffer")?;
    arrays(&mut text, answer, "mjModel", MODEL, "")?;
    text.push_str("}\n\n/// `mjData`.\npub mod data {\nuse super::*;\n");
    offsets(&mut text, answer, "mjData", "warning contact buffer arena")?;
    arrays(&mut text, answer, "mjData", DATA, "model::")?;
    places(&mut text, answer, "mjData", DATA_NUMBERS)?;
    text.push_str("}\n");
    for &(structure, module) in STRUCTURES {
        writeln!(text, "\n/// `{structure}`.\npub mod {module} {{\nuse super::*;\n")?;
        places(&mut text, answer, structure, &answer.names(structure).collect::<Vec<_>>().join(" "))?;
        text.push_str("}\n");
    }
    Ok(text)
}

/// Constants for the places of structures and pointers.
fn offsets(text: &mut String, answer: &Answer, structure: &str, names: &str) -> Result<()> {
    for name in names.split_whitespace() {
        writeln!(text, "pub const {}: usize = {};", constant(name), answer.field(structure, name)?.offset)?;
    }
    Ok(())
}

/// Constants for arrays that a pointer in the structure leads to, and their list.
fn arrays(text: &mut String, answer: &Answer, structure: &str, names: &str, module: &str) -> Result<()> {
    for name in names.split_whitespace() {
        let Field { kind, offset, rows, columns } = answer.field(structure, name)?;
        if *columns < 1 || !["f64", "f32", "i32", "bool", "u8"].contains(&kind.as_str()) {
            return Err(format!("{structure}.{name} is not an array of numbers with a fixed number of columns").into());
        }
        let (short, rows) = (constant(name), constant(rows));
        writeln!(
            text,
            "pub const {short}: Array<{kind}> = Array::new(\"{name}\", {offset}, {module}{rows}, {columns});"
        )?;
    }
    list(text, "ARRAYS", names)
}

/// Constants for numbers that lie in the structure itself, and their list.
fn places(text: &mut String, answer: &Answer, structure: &str, names: &str) -> Result<()> {
    for name in names.split_whitespace() {
        let Field { kind, offset, columns, .. } = answer.field(structure, name)?;
        writeln!(text, "pub const {}: Place<{kind}, {columns}> = Place::new(\"{name}\", {offset});", constant(name))?;
    }
    list(text, "PLACES", names)
}

/// Everything in a list, for the proof at load.
fn list(text: &mut String, name: &str, names: &str) -> Result<()> {
    let entries: Vec<String> = names.split_whitespace().map(|name| format!("{}.entry()", constant(name))).collect();
    Ok(writeln!(text, "pub const {name}: &[Entry] = &[{}];", entries.join(", "))?)
}

/// The text of `probe.txt`: a line a field of the table, `STRUCTURE.NAME [@BYTES IN THE BUFFER] NUMBERS` (shortest
/// text that gives the same `f64`).
fn render_values(answer: &Answer) -> Result<String> {
    let mut text = String::new();
    let mut add = |structure: &str, name: &str| -> Result<()> {
        let key = (structure.to_owned(), name.to_owned());
        let numbers = answer.values.get(&key).ok_or_else(|| format!("no values of {structure}.{name}"))?;
        write!(text, "{structure}.{name}")?;
        if let Some(place) = answer.places.get(&key) {
            write!(text, " @{place}")?;
        }
        for number in numbers {
            write!(text, " {number}")?;
        }
        Ok(writeln!(text)?)
    };
    for name in SIZES.split_whitespace().chain(MODEL.split_whitespace()) {
        add("mjModel", name)?;
    }
    for name in DATA.split_whitespace().chain(DATA_NUMBERS.split_whitespace()) {
        add("mjData", name)?;
    }
    for structure in ["mjOption", "mjStatistic", "mjContact"] {
        for name in answer.names(structure) {
            add(structure, name)?;
        }
    }
    Ok(text)
}

/// `dof_M0` -> `DOF_M0`.
fn constant(name: &str) -> String {
    name.to_uppercase()
}
