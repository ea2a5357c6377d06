//! SIGINT and SIGTERM: the first asks a training to stop after its update, or a server to end what runs; a second SIGINT leaves at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tony_run::Control;

use crate::console;
use crate::failure::{Code, Result};

/// Remembers which signal asked to stop.
#[derive(Clone)]
pub struct Stop {
    control: Arc<Control>,
    signal: Arc<AtomicI32>,
    words: Words,
}

/// What is told at the first signal, and at a second SIGINT.
pub type Words = [&'static str; 2];

/// Of a training. Checkpoints appear by rename, so leaving in the middle of anything loses at most the running update.
pub const TRAINING: Words =
    ["stopping after this update (Ctrl-C again leaves at once)", "left at once; the newest checkpoint is whole"];

impl Stop {
    /// Listen from now on, in a thread of its own.
    pub fn install(control: Arc<Control>, words: Words) -> Result<Self> {
        let stop = Self { control, signal: Arc::default(), words };
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let listener = stop.clone();
        std::thread::spawn(move || signals.forever().for_each(|signal| listener.ask(signal)));
        Ok(stop)
    }

    /// Someone wants to stop: `signal` says who. In a terminal's raw mode Ctrl-C arrives as a key and comes here too.
    pub fn ask(&self, signal: i32) {
        let first = self.signal.swap(signal, Ordering::Relaxed) == 0;
        self.control.stop.store(true, Ordering::Relaxed);
        if !first && signal == SIGINT {
            console::leave_screen();
            console::note(self.words[1]);
            std::process::exit(i32::from(Code::Interrupted as u8));
        }
        if first && !console::on_screen() {
            console::note(self.words[0]);
        }
    }

    /// Was a stop asked for?
    pub fn asked(&self) -> bool {
        self.signal.load(Ordering::Relaxed) != 0
    }

    /// How the process ends after a clean stop: 75 for a scheduler's SIGTERM, 130 for a person's SIGINT.
    pub fn code(&self) -> Code {
        if self.signal.load(Ordering::Relaxed) == SIGTERM { Code::Stopped } else { Code::Interrupted }
    }
}
