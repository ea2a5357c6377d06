//! SIGINT and SIGTERM: the first asks the trainer to stop after its update, a second SIGINT leaves at once.

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
}

impl Stop {
    /// Listen from now on, in a thread of its own.
    pub fn install(control: Arc<Control>) -> Result<Self> {
        let stop = Self { control, signal: Arc::default() };
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
            // Checkpoints appear by rename, so leaving in the middle of anything loses at most the running update.
            console::leave_screen();
            console::note("left at once; the newest checkpoint is whole");
            std::process::exit(i32::from(Code::Interrupted as u8));
        }
        if first && !console::on_screen() {
            console::note("stopping after this update (Ctrl-C again leaves at once)");
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
