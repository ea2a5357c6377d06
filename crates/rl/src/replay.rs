//! [`Replay`]: the experience that off-policy algorithms learn from again and again.
//!
//! A ring of rows for each environment (lane), as flat columns. An observation is stored once: the one after a row is that of the next
//! row. Where an episode ends, the observation after it takes a row of its own, from which nothing was done; the newest row's is already in
//! the place where the next row will be. A row of `HalfCheetah-v5` is 97 bytes.

use tony_random::Stream;
use tony_run::{Archive, Part};

use crate::rollout::Rollout;
use crate::{Error, Result};

/// Rows of a part of a checkpoint: 1.6 MB of `HalfCheetah-v5`, the most that is held in memory twice.
const PART: u64 = 16_384;

/// What a row is.
const END: u8 = 0;
const STEP: u8 = 1;
/// A step after which there is nothing: the task ended (not the clock).
const DEATH: u8 = 2;

/// A ring of transitions.
#[derive(Debug)]
pub struct Replay {
    env: String,
    obs_dim: usize,
    act_dim: usize,
    /// Rows of a lane.
    size: usize,
    /// Rows written so far by each lane, the one at work not counted: a ring's place is this modulo its size.
    heads: Vec<u64>,
    obs: Vec<f32>,
    act: Vec<f32>,
    reward: Vec<f32>,
    kind: Vec<u8>,
}

/// Transitions that were drawn, as flat columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Minibatch {
    /// Observations, `[rows, obs_dim]`.
    pub obs: Vec<f32>,
    /// Actions, `[rows, act_dim]`.
    pub act: Vec<f32>,
    /// Rewards.
    pub reward: Vec<f32>,
    /// Observations after the actions, `[rows, obs_dim]`.
    pub next_obs: Vec<f32>,
    /// 0 where the task ended, so that nothing follows; else 1, also where the clock ran out.
    pub live: Vec<f32>,
}

impl Minibatch {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.reward.len()
    }
}

impl Replay {
    /// Room for `capacity` rows in all, shared by `lanes` environments called `env`. Memory is taken as it is written to.
    pub fn new(env: &str, obs_dim: usize, act_dim: usize, lanes: usize, capacity: usize) -> Self {
        // The row at work cannot be drawn; and two ends of episodes never follow each other.
        let size = capacity.div_ceil(lanes).max(3) + 1;
        let rows = size * lanes;
        Self {
            env: env.to_owned(),
            obs_dim,
            act_dim,
            size,
            heads: vec![0; lanes],
            obs: vec![0.0; rows * obs_dim],
            act: vec![0.0; rows * act_dim],
            reward: vec![0.0; rows],
            kind: vec![END; rows],
        }
    }

    /// Rows that can be drawn, ends of episodes included.
    pub fn rows(&self) -> u64 {
        self.heads.iter().map(|head| head - self.oldest(*head)).sum()
    }

    /// Bytes of all columns when the ring is full.
    pub fn bytes(&self) -> usize {
        4 * (self.obs.len() + self.act.len() + self.reward.len()) + self.kind.len()
    }

    /// First row that a lane with this head still has: the one after the row at work was the next to be overwritten.
    fn oldest(&self, head: u64) -> u64 {
        (head + 1).saturating_sub(self.size as u64)
    }

    /// Place of a lane's row in the columns.
    fn place(&self, lane: usize, row: u64) -> usize {
        lane * self.size + (row % self.size as u64) as usize
    }

    /// Take over a batch whose rows are shared equally by the lanes.
    pub fn append(&mut self, rollout: &Rollout) {
        let share = rollout.rows() / self.heads.len();
        let mut start = 0;
        for (i, end) in rollout.ends.iter().enumerate() {
            let lane = start / share;
            for row in start..=end.row {
                let place = self.place(lane, self.heads[lane]);
                let (o, a) = (self.obs_dim, self.act_dim);
                self.obs[place * o..][..o].copy_from_slice(&rollout.obs[row * o..][..o]);
                self.act[place * a..][..a].copy_from_slice(&rollout.act[row * a..][..a]);
                self.reward[place] = rollout.reward[row];
                self.kind[place] = if end.terminated && row == end.row { DEATH } else { STEP };
                self.heads[lane] += 1;
            }
            let place = self.place(lane, self.heads[lane]);
            self.obs[place * self.obs_dim..][..self.obs_dim]
                .copy_from_slice(&rollout.final_obs[i * self.obs_dim..][..self.obs_dim]);
            self.kind[place] = END;
            // A batch may end within an episode: then the next batch goes on in this place.
            self.heads[lane] += u64::from(end.episode.is_some());
            start = end.row + 1;
        }
    }

    /// Draw `rows` transitions, each uniformly from all that are there. There must be one.
    pub fn sample(&self, rows: usize, stream: &mut Stream, batch: &mut Minibatch) {
        let (o, a) = (self.obs_dim, self.act_dim);
        let Minibatch { obs, act, reward, next_obs, live } = batch;
        obs.clear();
        act.clear();
        reward.clear();
        next_obs.clear();
        live.clear();
        for _ in 0..rows {
            let (place, next) = self.draw(stream);
            obs.extend_from_slice(&self.obs[place * o..][..o]);
            act.extend_from_slice(&self.act[place * a..][..a]);
            reward.push(self.reward[place]);
            next_obs.extend_from_slice(&self.obs[next * o..][..o]);
            live.push(if self.kind[place] == DEATH { 0.0 } else { 1.0 });
        }
    }

    /// Places of a transition and of what follows it.
    fn draw(&self, stream: &mut Stream) -> (usize, usize) {
        loop {
            let mut number = stream.below(self.rows() as usize) as u64;
            for (lane, &head) in self.heads.iter().enumerate() {
                let (oldest, row) = (self.oldest(head), self.oldest(head) + number);
                if row < head {
                    let place = self.place(lane, row);
                    if self.kind[place] == END {
                        break;
                    }
                    return (place, self.place(lane, row + 1));
                }
                number -= head - oldest;
            }
        }
    }

    /// Write how far the lanes are; the rows themselves are [`Replay::parts`].
    pub fn save(&self, archive: &mut Archive) -> Result<()> {
        Ok(archive.put_u64("replay.heads", &[self.heads.len()], &self.heads)?)
    }

    /// Read back what [`Replay::save`] wrote; the rows come by [`Replay::load_rows`].
    pub fn load(&mut self, archive: &Archive) -> Result<()> {
        self.heads = archive.u64("replay.heads", &[self.heads.len()])?;
        Ok(())
    }

    /// Lanes and pieces of them that hold rows, or the row at work.
    fn pieces(&self) -> impl Iterator<Item = (usize, u64)> {
        let pieces =
            |(lane, &head): (usize, &u64)| (self.oldest(head) / PART..=head / PART).map(move |piece| (lane, piece));
        self.heads.iter().enumerate().flat_map(pieces)
    }

    /// The rows, in pieces. Only the newest of each lane still changes.
    pub fn parts(&self) -> Vec<Part<'_>> {
        let part = |(lane, piece): (usize, u64)| Part {
            name: self.name(lane, piece),
            fixed: self.is_whole(lane, piece),
            make: Box::new(move || self.part(lane, piece)),
        };
        self.pieces().map(part).collect()
    }

    /// Will a piece never change again?
    fn is_whole(&self, lane: usize, piece: u64) -> bool {
        (piece + 1) * PART <= self.heads[lane]
    }

    /// Name of a piece of a lane's rows; the one that still grows has another than it will have once it is whole.
    fn name(&self, lane: usize, piece: u64) -> String {
        format!("replay-{lane}-{piece}{}", if self.is_whole(lane, piece) { "" } else { "-open" })
    }

    /// Rows of a piece that are there, the row at work (of which only the observation is) included.
    fn range(&self, lane: usize, piece: u64) -> std::ops::Range<u64> {
        let head = self.heads[lane];
        (piece * PART).max(self.oldest(head))..((piece + 1) * PART).min(head + 1)
    }

    fn part(&self, lane: usize, piece: u64) -> tony_run::Result<Archive> {
        let rows = self.range(lane, piece);
        let count = (rows.end - rows.start) as usize;
        let mut archive = Archive::new();
        archive.set_note("env", &self.env);
        archive.put_u64("first", &[1], &[rows.start])?;
        let places = || rows.clone().map(|row| self.place(lane, row));
        let column = |values: &[f32], width: usize| -> Vec<f32> {
            places().flat_map(|place| values[place * width..][..width].iter().copied()).collect()
        };
        archive.put_f32("obs", &[count, self.obs_dim], &column(&self.obs, self.obs_dim))?;
        archive.put_f32("act", &[count, self.act_dim], &column(&self.act, self.act_dim))?;
        archive.put_f32("reward", &[count], &column(&self.reward, 1))?;
        archive.put_bytes("kind", &places().map(|place| self.kind[place]).collect::<Vec<u8>>())?;
        Ok(archive)
    }

    /// Read the rows back, after [`Replay::load`]; `read` gives a part by its name.
    pub fn load_rows(&mut self, read: &dyn Fn(&str) -> tony_run::Result<Archive>) -> Result<()> {
        for (lane, piece) in self.pieces().collect::<Vec<_>>() {
            let archive = read(&self.name(lane, piece))?;
            self.check(&archive)?;
            let wanted = self.range(lane, piece);
            let first = archive.u64("first", &[1])?[0];
            let count = archive.shape("reward").map_or(0, |shape| shape[0]);
            if first > wanted.start || first + (count as u64) < wanted.end {
                return Err(Error::Invalid {
                    what: format!(
                        "{} holds rows {first} to {} of the replay of {}, and rows {} to {} are needed",
                        archive.origin(),
                        first + count as u64,
                        self.env,
                        wanted.start,
                        wanted.end
                    ),
                    hint: "take the whole folder of the checkpoint from one run".to_owned(),
                });
            }
            let obs = archive.f32("obs", &[count, self.obs_dim])?;
            let act = archive.f32("act", &[count, self.act_dim])?;
            let reward = archive.f32("reward", &[count])?;
            let kind = archive.bytes("kind")?;
            for row in wanted {
                // An older copy of a piece begins before the oldest row that the ring still has.
                let (from, to) = ((row - first) as usize, self.place(lane, row));
                let (o, a) = (self.obs_dim, self.act_dim);
                self.obs[to * o..][..o].copy_from_slice(&obs[from * o..][..o]);
                self.act[to * a..][..a].copy_from_slice(&act[from * a..][..a]);
                self.reward[to] = reward[from];
                self.kind[to] = kind.get(from).copied().unwrap_or(END);
            }
        }
        Ok(())
    }

    /// Does a part belong to this environment?
    fn check(&self, archive: &Archive) -> Result<()> {
        let width = |name: &str| archive.shape(name).and_then(|shape| shape.get(1).copied()).unwrap_or(0);
        let (env, obs, act) = (archive.note("env").unwrap_or("no environment"), width("obs"), width("act"));
        if (env, obs, act) == (self.env.as_str(), self.obs_dim, self.act_dim) {
            return Ok(());
        }
        Err(Error::Invalid {
            what: format!(
                "{} holds experience of {env} ({obs} observations, {act} action numbers), this run is on {} ({}, {})",
                archive.origin(),
                self.env,
                self.obs_dim,
                self.act_dim
            ),
            hint: "take the whole folder of the checkpoint from one run".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::{End, Episode};
    use std::collections::BTreeMap;

    /// Two lanes with episodes of their own lengths, each row's numbers saying lane, episode and time. A batch of `share` rows a lane.
    struct World {
        clocks: [(u32, u32); 2],
    }

    const LENGTHS: [u32; 2] = [5, 3];

    impl World {
        fn new() -> Self {
            Self { clocks: [(0, 0); 2] }
        }

        fn obs(lane: usize, episode: u32, time: u32) -> [f32; 2] {
            [(1000 * lane as u32 + episode) as f32, time as f32]
        }

        /// Episodes of lane 0 run out of time, those of lane 1 end.
        fn batch(&mut self, share: usize) -> Rollout {
            let mut rollout = Rollout::new(2, 1, 0, 2 * share);
            for (lane, length) in LENGTHS.into_iter().enumerate() {
                for t in 0..share {
                    let row = lane * share + t;
                    let (episode, time) = self.clocks[lane];
                    rollout.obs[2 * row..][..2].copy_from_slice(&Self::obs(lane, episode, time));
                    rollout.act[row] = time as f32 + 0.5;
                    rollout.reward[row] = (episode * 10 + time) as f32;
                    let over = time + 1 == length;
                    self.clocks[lane] = if over { (episode + 1, 0) } else { (episode, time + 1) };
                    if over || t + 1 == share {
                        let episode_sums = over.then_some(Episode { ret: 0.0, length: 1 });
                        rollout.ends.push(End { row, terminated: over && lane == 1, episode: episode_sums });
                        rollout.final_obs.extend(Self::obs(lane, episode, time + 1));
                    }
                }
            }
            rollout
        }
    }

    fn assert_follows(batch: &Minibatch, row: usize) {
        let (obs, next) = (&batch.obs[2 * row..][..2], &batch.next_obs[2 * row..][..2]);
        let (lane, time) = (usize::from(obs[0] >= 1000.0), obs[1]);
        assert_eq!(next, [obs[0], time + 1.0], "what follows is of the same episode");
        assert_eq!(batch.act[row], time + 0.5);
        assert_eq!(batch.reward[row], (obs[0] % 1000.0) * 10.0 + time);
        let dead = lane == 1 && time + 1.0 == LENGTHS[1] as f32;
        assert_eq!(batch.live[row], if dead { 0.0 } else { 1.0 }, "only a real end is one: {obs:?}");
    }

    fn drawn(replay: &Replay, rows: usize) -> Minibatch {
        let mut batch = Minibatch::default();
        replay.sample(rows, &mut Stream::new(1, "replay", 0), &mut batch);
        batch
    }

    #[test]
    fn a_transition_is_whole_wherever_batches_and_episodes_end_and_the_ring_turns() {
        for share in [1, 4, 7] {
            let (mut world, mut replay) = (World::new(), Replay::new("world", 2, 1, 2, 40));
            for _ in 0..60 {
                replay.append(&world.batch(share));
                let batch = drawn(&replay, 64);
                (0..64).for_each(|row| assert_follows(&batch, row));
            }
            // 21 places a lane, of which one is at work.
            assert_eq!(replay.rows(), 40);
        }
    }

    #[test]
    fn every_transition_that_is_there_is_drawn_equally_often_and_none_that_is_gone() {
        let (mut world, mut replay) = (World::new(), Replay::new("world", 2, 1, 2, 40));
        for _ in 0..60 {
            replay.append(&world.batch(1));
        }
        let batch = drawn(&replay, 40_000);
        let mut counts = BTreeMap::<(u32, u32), u32>::new();
        for obs in batch.obs.chunks_exact(2) {
            *counts.entry((obs[0] as u32, obs[1] as u32)).or_default() += 1;
        }
        // Of the last 20 rows of each lane, 4 are ends after episodes of 5 and 5 after episodes of 3.
        assert_eq!(counts.len(), 16 + 15);
        let mean = 40_000.0 / 31.0;
        // Five standard deviations of a binomial are 174.
        assert!(counts.values().all(|count| (f64::from(*count) - mean).abs() < 174.0), "{counts:?}");
        let newest = counts.keys().filter(|(episode, _)| *episode < 1000).max().unwrap();
        assert_eq!(*newest, (11, 4), "60 steps in episodes of 5");
    }

    /// Parts as a checkpoint keeps them: what is fixed is made once.
    #[derive(Default)]
    struct Disk(BTreeMap<String, Archive>);

    impl Disk {
        fn commit(&mut self, replay: &Replay) -> Archive {
            let parts = replay.parts();
            let mut kept = BTreeMap::new();
            for part in &parts {
                let old = self.0.remove(&part.name).filter(|_| part.fixed);
                kept.insert(part.name.clone(), old.unwrap_or_else(|| (part.make)().unwrap()));
            }
            self.0 = kept;
            let mut archive = Archive::new();
            replay.save(&mut archive).unwrap();
            archive
        }

        fn restore(&self, heads: &Archive, replay: &mut Replay) -> Result<()> {
            replay.load(heads)?;
            replay.load_rows(&|name| {
                self.0.get(name).cloned().ok_or_else(|| tony_run::Error::Invalid(format!("no part {name}")))
            })
        }
    }

    #[test]
    fn a_restored_ring_is_the_same_ring() {
        // Two and a half pieces a lane: some are written once, and the oldest is cut by the turning ring.
        let capacity = 5 * PART as usize;
        let (mut world, mut replay, mut disk) =
            (World::new(), Replay::new("world", 2, 1, 2, capacity), Disk::default());
        for _ in 0..8 {
            replay.append(&world.batch(9_001));
            let heads = disk.commit(&replay);
            let mut again = Replay::new("world", 2, 1, 2, capacity);
            disk.restore(&heads, &mut again).unwrap();
            assert_eq!(drawn(&replay, 5_000), drawn(&again, 5_000));
            // And it goes on as the first one does.
            let mut ahead = World { clocks: world.clocks };
            let next = ahead.batch(1_000);
            let mut copy = Replay::new("world", 2, 1, 2, capacity);
            disk.restore(&heads, &mut copy).unwrap();
            copy.append(&next);
            again.append(&next);
            assert_eq!(drawn(&copy, 5_000), drawn(&again, 5_000));
        }
    }

    #[test]
    fn rows_of_another_environment_or_too_few_of_them_are_refused() {
        let (mut world, mut replay, mut disk) = (World::new(), Replay::new("world", 2, 1, 2, 40), Disk::default());
        replay.append(&world.batch(10));
        let heads = disk.commit(&replay);
        let mut other = Replay::new("Hopper-v5", 11, 3, 2, 40);
        let message = disk.restore(&heads, &mut other).unwrap_err().to_string();
        assert_eq!(
            message,
            "the archive in memory holds experience of world (2 observations, 1 action numbers), this run is on Hopper-v5 (11, 3)"
        );
        replay.append(&world.batch(10));
        let mut further = Archive::new();
        replay.save(&mut further).unwrap();
        let message = disk.restore(&further, &mut Replay::new("world", 2, 1, 2, 40)).unwrap_err().to_string();
        assert!(
            message.contains("holds rows 0 to 13 of the replay of world, and rows 4 to 25 are needed"),
            "{message}"
        );
    }

    #[test]
    fn a_million_rows_of_half_cheetah_are_97_megabytes() {
        let replay = Replay::new("HalfCheetah-v5", 17, 6, 1, 1_000_000);
        assert_eq!(replay.bytes(), 97 * 1_000_001);
    }
}
