//! TensorBoard event files: the framing of `TFRecord` around `Event` messages of Protocol Buffers.
//!
//! A record is `length: u64, masked CRC-32C of length: u32, data, masked CRC-32C of data: u32`, all little-endian
//! (TensorFlow, `tensorflow/core/lib/io/record_writer.h`). The messages are those of `tensorflow/core/util/event.proto`:
//! `Event { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5 }`,
//! `Summary { repeated Value value = 1 }`, `Value { string tag = 1; float simple_value = 2 }`.

/// The beginning of every event file's name.
pub(crate) const PREFIX: &str = "events.out.tfevents.";

/// The record that every event file begins with.
pub fn version_record(wall_time: f64) -> Vec<u8> {
    let mut event = Vec::new();
    put_double(&mut event, 1, wall_time);
    put_bytes(&mut event, 3, b"brain.Event:2");
    record(&event)
}

/// The record of one update: `scalars` by tag at `step`. TensorBoard keeps 32 bits of each.
pub fn scalars_record<'a>(wall_time: f64, step: u64, scalars: impl IntoIterator<Item = (&'a str, f64)>) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, value) in scalars {
        let mut message = Vec::new();
        put_bytes(&mut message, 1, tag.as_bytes());
        put_float(&mut message, 2, value as f32);
        put_bytes(&mut summary, 1, &message);
    }
    let mut event = Vec::new();
    put_double(&mut event, 1, wall_time);
    put_varint(&mut event, 2 << 3);
    put_varint(&mut event, step);
    put_bytes(&mut event, 5, &summary);
    record(&event)
}

/// Length of the whole, undamaged records at the beginning of `bytes`, at most `limit`.
pub(crate) fn whole_records(bytes: &[u8], limit: u64) -> u64 {
    let mut end = 0;
    while let Some((_, rest)) = split_record(&bytes[end..]) {
        let next = bytes.len() - rest.len();
        if next as u64 > limit {
            break;
        }
        end = next;
    }
    end as u64
}

/// The data of the first record, where it is whole, and what follows it.
fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let (length_crc, rest) = rest.split_first_chunk::<4>()?;
    let size = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (data, rest) = rest.split_at_checked(size)?;
    let (data_crc, rest) = rest.split_first_chunk::<4>()?;
    let whole =
        masked_crc(length) == u32::from_le_bytes(*length_crc) && masked_crc(data) == u32::from_le_bytes(*data_crc);
    whole.then_some((data, rest))
}

fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(data.len() + 16);
    record.extend(length);
    record.extend(masked_crc(&length).to_le_bytes());
    record.extend(data);
    record.extend(masked_crc(data).to_le_bytes());
    record
}

/// A CRC of data that holds its own CRC is of little use, so records store a rotated and shifted one.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli): reflected polynomial `0x82f63b78`, one table look-up a byte.
fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let (mut crc, mut bit) = (byte as u32, 0);
            while bit < 8 {
                crc = (crc >> 1) ^ (0x82f6_3b78 * (crc & 1));
                bit += 1;
            }
            table[byte] = crc;
            byte += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc, &byte| (crc >> 8) ^ TABLE[((crc ^ u32::from(byte)) & 0xff) as usize])
}

// Protocol Buffers: a field is its number and wire type (0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes), then its value.

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_varint(out, field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend(bytes);
}

fn put_double(out: &mut Vec<u8>, field: u64, value: f64) {
    put_varint(out, field << 3 | 1);
    out.extend(value.to_le_bytes());
}

fn put_float(out: &mut Vec<u8>, field: u64, value: f32) {
    put_varint(out, field << 3 | 5);
    out.extend(value.to_le_bytes());
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{crc32c, masked_crc, scalars_record, split_record, version_record, whole_records};

    /// An event as this reader understands it.
    #[derive(Debug, Default, PartialEq)]
    pub struct Event {
        pub wall_time: f64,
        pub step: u64,
        pub version: String,
        pub scalars: Vec<(String, f32)>,
    }

    /// Fields of a message: number, and varint or bytes.
    fn fields(mut bytes: &[u8]) -> Vec<(u64, u64, &[u8])> {
        fn varint(bytes: &mut &[u8]) -> u64 {
            let (mut value, mut shift) = (0, 0);
            loop {
                let byte = bytes[0];
                *bytes = &bytes[1..];
                value |= u64::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    return value;
                }
            }
        }
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let (number, size) = match key & 7 {
                0 => (varint(&mut bytes), 0),
                1 => (0, 8),
                2 => (0, varint(&mut bytes) as usize),
                5 => (0, 4),
                wire => panic!("wire type {wire}"),
            };
            let (data, rest) = bytes.split_at(size);
            fields.push((key >> 3, number, data));
            bytes = rest;
        }
        fields
    }

    pub fn read(mut bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        while !bytes.is_empty() {
            let (data, rest) = split_record(bytes).expect("a whole record");
            bytes = rest;
            let mut event = Event::default();
            for (field, number, data) in fields(data) {
                match field {
                    1 => event.wall_time = f64::from_le_bytes(data.try_into().unwrap()),
                    2 => event.step = number,
                    3 => event.version = String::from_utf8(data.to_vec()).unwrap(),
                    5 => {
                        for (_, _, value) in fields(data) {
                            let parts = fields(value);
                            let tag = String::from_utf8(parts[0].2.to_vec()).unwrap();
                            event.scalars.push((tag, f32::from_le_bytes(parts[1].2.try_into().unwrap())));
                        }
                    }
                    other => panic!("field {other}"),
                }
            }
            events.push(event);
        }
        events
    }

    #[test]
    fn crc_is_castagnoli() {
        // The check value of CRC-32C, and the vectors of RFC 3720, appendix B.4.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        let rising: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c(&rising), 0x46dd_794e);
        // The first twelve bytes of every event file that TensorFlow writes: a record of 24 bytes.
        assert_eq!(masked_crc(&24_u64.to_le_bytes()), 0x224b_7fa3);
    }

    #[test]
    fn what_was_written_reads_back() {
        let mut bytes = version_record(1.5);
        let scalars = [("Metrics/EpRet", -3.25), ("Train/KL", 0.01)];
        bytes.extend(scalars_record(2.5, 300_000_000_000, scalars));
        let events = read(&bytes);
        assert_eq!(events[0], Event { wall_time: 1.5, version: "brain.Event:2".into(), ..Event::default() });
        let scalars = vec![("Metrics/EpRet".into(), -3.25), ("Train/KL".into(), 0.01)];
        assert_eq!(events[1], Event { wall_time: 2.5, step: 300_000_000_000, scalars, ..Event::default() });
    }

    #[test]
    fn a_torn_or_flipped_record_is_not_whole() {
        let first = version_record(1.0);
        let mut bytes = first.clone();
        bytes.extend(scalars_record(2.0, 1, [("a", 1.0)]));
        let whole = bytes.len() as u64;
        assert_eq!(whole_records(&bytes, u64::MAX), whole);
        assert_eq!(whole_records(&bytes, whole - 1), first.len() as u64);
        for cut in first.len()..bytes.len() {
            assert_eq!(whole_records(&bytes[..cut], u64::MAX), first.len() as u64, "cut at {cut}");
            let mut flipped = bytes.clone();
            flipped[cut] ^= 0x10;
            assert_eq!(whole_records(&flipped, u64::MAX), first.len() as u64, "flipped at {cut}");
        }
    }
}
