//! The proof that the opened library is laid out as the field table says.
//!
//! `probe.xml` has something of everything. `probe.txt` holds what the C compiler read from it, field by field, by the
//! library's own headers, after a few steps. Here the same is done through the table, and every field must agree. Each
//! array must lie at the recorded byte of its structure's buffer before anything is read through its pointer, so that a
//! wrong table ends in a message, not in a crash.

use std::collections::HashMap;

use crate::field::{Entry, Shape};
use crate::fields::{self, contact, data, model, option, statistic};
use crate::{Error, Library, Model, Quantity, Simulation, Warning};

const XML: &str = include_str!("probe.xml");
const VALUES: &str = include_str!("probe.txt");

/// Values may differ from the recorded ones by this share: another processor's sine and cosine may differ in the last bit,
/// which three steps of contact grow; a wrong place differs by everything.
const TOLERANCE: f64 = 1e-6;

/// Compare every field; the error names the first that differs.
pub fn prove(library: &Library) -> Result<(), String> {
    let known = Known::read()?;
    let model = Model::from_xml(library, XML).map_err(|error| error.to_string())?;
    // SAFETY: the structures are live for as long as they are read; `Known` checks each pointer before it follows it.
    unsafe {
        for size in model::SIZES {
            known.compare("mjModel", size.name, &[size.get(model.raw()) as f64])?;
        }
        let memory = Memory::of(model.raw(), model::BUFFER, model::NBUFFER.get(model.raw()))?;
        known.compare_all("mjModel", model::ARRAYS, model.raw(), model.raw(), Some(&memory))?;
        known.compare_all("mjOption", option::PLACES, model.raw().add(model::OPT), model.raw(), None)?;
        known.compare_all("mjStatistic", statistic::PLACES, model.raw().add(model::STAT), model.raw(), None)?;

        let mut simulation = Simulation::new(model).map_err(|error| error.to_string())?;
        let memory = Memory::of(simulation.raw(), data::BUFFER, data::NBUFFER.get(simulation.raw()) as usize)?;
        for entry in data::ARRAYS {
            let place = known.get("mjData", entry.name)?.place;
            memory.holds(entry, place, simulation.raw(), simulation.model().raw())?;
        }
        run(&mut simulation).map_err(|error| error.to_string())?;
        let raw = simulation.raw();
        known.compare_all("mjData", data::ARRAYS, raw, simulation.model().raw(), Some(&memory))?;
        known.compare_all("mjData", data::PLACES, raw, simulation.model().raw(), None)?;

        let arena = Memory::of(raw, data::ARENA, data::NARENA.get(raw) as usize)?;
        let contacts = raw.add(data::CONTACT).cast::<usize>().read();
        if !arena.contains(contacts, simulation.ncon() * fields::SIZEOF_CONTACT) {
            return Err("mjData.contact does not lead into the arena".into());
        }
        let last = (contacts as *const u8).add((simulation.ncon() - 1) * fields::SIZEOF_CONTACT);
        known.compare_all("mjContact", contact::PLACES, last, raw, None)?;
        warning(&mut simulation)
    }
}

/// Inputs and steps as in the C program of `xtask`.
fn run(simulation: &mut Simulation) -> Result<(), Error> {
    let count = |slice: &mut [f64], unit: f64| {
        for (i, value) in slice.iter_mut().enumerate() {
            *value = unit * (i + 1) as f64;
        }
    };
    count(simulation.qvel_mut(), 0.1);
    count(simulation.qfrc_applied_mut(), 0.01);
    count(simulation.ctrl_mut(), 0.05);
    count(simulation.xfrc_applied_mut(), 0.001);
    count(simulation.userdata_mut(), 1.0);
    simulation.mocap_pos_mut()[0] += 0.01;
    simulation.set_time(0.5);
    simulation.steps(3)?;
    simulation.forward()?;
    simulation.subtree_vel();
    simulation.rne_post_constraint();
    Ok(())
}

/// A control that is not a number must raise exactly the warning that says so: the counters are where the table says.
fn warning(simulation: &mut Simulation) -> Result<(), String> {
    simulation.ctrl_mut()[1] = f64::NAN;
    match simulation.forward() {
        Err(Error::Warning { warning: Warning { quantity: Quantity::Ctrl, index: 1, more: false }, .. }) => Ok(()),
        other => Err(format!("mjData.warning does not count a bad control: {other:?}")),
    }
}

/// The recorded values, by `structure.field`.
struct Known(HashMap<&'static str, Field>);

struct Field {
    /// Where an array lies in its structure's buffer.
    place: Option<usize>,
    numbers: Vec<f64>,
}

impl Known {
    fn read() -> Result<Self, String> {
        let mut known = HashMap::new();
        for line in VALUES.lines() {
            let mut words = line.split(' ').peekable();
            let name = words.next().unwrap_or_default();
            let place = words.next_if(|word| word.starts_with('@')).and_then(|word| word[1..].parse().ok());
            let numbers = words.map(str::parse).collect::<Result<Vec<f64>, _>>();
            let numbers = numbers.map_err(|error| format!("recorded values of {name}: {error}"))?;
            known.insert(name, Field { place, numbers });
        }
        Ok(Known(known))
    }

    fn get(&self, structure: &str, name: &str) -> Result<&Field, String> {
        self.0
            .get(format!("{structure}.{name}").as_str())
            .ok_or_else(|| format!("{structure}.{name} has no recorded values"))
    }

    fn compare(&self, structure: &str, name: &str, found: &[f64]) -> Result<(), String> {
        let known = &self.get(structure, name)?.numbers;
        let name = format!("{structure}.{name}");
        if found.len() != known.len() {
            return Err(format!("{name} has {} numbers, not {}", found.len(), known.len()));
        }
        for (i, (found, known)) in found.iter().zip(known).enumerate() {
            let close = (found - known).abs() <= TOLERANCE * known.abs().max(1.0);
            if !close {
                return Err(format!("{name}[{i}] is {found}, not {known}"));
            }
        }
        Ok(())
    }

    /// # Safety
    /// `owner` and `model` are live structures; entries that are arrays come with the memory of their owner.
    unsafe fn compare_all(
        &self,
        structure: &str,
        entries: &[Entry],
        owner: *const u8,
        model: *const u8,
        memory: Option<&Memory>,
    ) -> Result<(), String> {
        for entry in entries {
            // SAFETY: numbers inside the structure are read inside its bounds; arrays were checked to lie in its memory.
            let found: Vec<f64> = unsafe {
                let (at, count) = match (entry.shape, memory) {
                    (Shape::Inside(count), _) => (owner.add(entry.offset), count),
                    (Shape::Array(..), Some(memory)) => {
                        memory.holds(entry, self.get(structure, entry.name)?.place, owner, model)?
                    }
                    (Shape::Array(..), None) => return Err(format!("{structure}.{} has no memory", entry.name)),
                };
                (0..count).map(|i| (entry.read)(at.add(i * entry.bytes))).collect()
            };
            self.compare(structure, entry.name, &found)?;
        }
        Ok(())
    }
}

/// The block of memory that a structure's arrays lie in.
struct Memory {
    start: usize,
    bytes: usize,
}

impl Memory {
    /// # Safety
    /// `owner` is a live structure, longer than `offset`.
    unsafe fn of(owner: *const u8, offset: usize, bytes: usize) -> Result<Self, String> {
        // SAFETY: the caller vouches for the structure.
        let start = unsafe { owner.add(offset).cast::<usize>().read() };
        // The library aligns its blocks to 64 bytes; anything else is not the pointer that the table says.
        if start == 0 || !start.is_multiple_of(64) {
            return Err(format!("there is no pointer to a buffer at byte {offset}"));
        }
        Ok(Memory { start, bytes })
    }

    fn contains(&self, start: usize, bytes: usize) -> bool {
        start >= self.start && start.saturating_add(bytes) <= self.start + self.bytes
    }

    /// First number and count of an array, which must lie at `place` in this memory.
    ///
    /// # Safety
    /// `owner` and `model` are live structures.
    unsafe fn holds(
        &self,
        entry: &Entry,
        place: Option<usize>,
        owner: *const u8,
        model: *const u8,
    ) -> Result<(*const u8, usize), String> {
        let Shape::Array(rows, columns) = entry.shape else { return Err(format!("{} is no array", entry.name)) };
        // SAFETY: the caller vouches for the structures; sizes were compared before.
        let (start, count) = unsafe { (owner.add(entry.offset).cast::<usize>().read(), rows.get(model) * columns) };
        let here = start.checked_sub(self.start);
        if here != place || !self.contains(start, count * entry.bytes) {
            return Err(format!("{} lies at byte {here:?} of the buffer, not at {place:?}", entry.name));
        }
        Ok((start as *const u8, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entries with each other's neighbours' places: what a table of another version would say.
    fn shifted(entry: &Entry, bytes: isize) -> Entry {
        Entry { offset: entry.offset.wrapping_add_signed(bytes), ..*entry }
    }

    #[test]
    fn a_field_in_the_wrong_place_is_found() {
        let Ok(library) = crate::locate(false, &mut |_| ()) else {
            eprintln!("skipped: no MuJoCo library");
            return;
        };
        let known = Known::read().unwrap();
        let mut simulation = Simulation::new(Model::from_xml(&library, XML).unwrap()).unwrap();
        run(&mut simulation).unwrap();
        let (model, raw) = (simulation.model().raw(), simulation.raw());
        let mut missed = Vec::new();
        // SAFETY: the structures are live; a shifted offset stays inside them, and pointers are checked before use.
        unsafe {
            let model_memory = Memory::of(model, model::BUFFER, model::NBUFFER.get(model)).unwrap();
            let data_memory = Memory::of(raw, data::BUFFER, data::NBUFFER.get(raw) as usize).unwrap();
            for (structure, entries, owner, memory) in [
                ("mjModel", model::ARRAYS, model, Some(&model_memory)),
                ("mjOption", option::PLACES, model.add(model::OPT), None),
                ("mjStatistic", statistic::PLACES, model.add(model::STAT), None),
                ("mjData", data::ARRAYS, raw, Some(&data_memory)),
                ("mjData", data::PLACES, raw, None),
            ] {
                for entry in entries {
                    for bytes in [-8, 8] {
                        if known.compare_all(structure, &[shifted(entry, bytes)], owner, model, memory).is_ok() {
                            missed.push(entry.name);
                        }
                    }
                }
            }
        }
        // Pointers equal to their neighbour's, because that array is empty (octrees, delays, plugins, flexes) or is the
        // buffer itself; and of meshes two arrays whose neighbours hold the same numbers, for every corner has one normal.
        let alike =
            ["qpos0", "jnt_type", "mesh_vertadr", "mesh_face", "qacc_warmstart", "ctrl", "xpos", "ten_velocity"];
        assert_eq!(missed, alike);
    }

    #[test]
    fn a_differing_value_is_named() {
        let known = Known::read().unwrap();
        assert_eq!(known.compare("mjModel", "nq", &[12.0]).unwrap_err(), "mjModel.nq[0] is 12, not 13");
        assert_eq!(known.compare("mjModel", "nq", &[f64::NAN]).unwrap_err(), "mjModel.nq[0] is NaN, not 13");
        assert_eq!(known.compare("mjModel", "nq", &[]).unwrap_err(), "mjModel.nq has 0 numbers, not 1");
        assert_eq!(known.compare("mjModel", "none", &[]).unwrap_err(), "mjModel.none has no recorded values");
    }
}
