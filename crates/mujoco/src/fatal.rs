//! MuJoCo's messages: warnings stay quiet (counters carry them), fatal errors end the process cleanly.
//!
//! MuJoCo reports what it cannot go on from (out of memory, arena overflow) to a handler that must not return into C.
//! Ours says what happened to which model at which step, lets the caller mark its run folder, and exits with code 1.
//! Committed checkpoints are not touched, so the run can be resumed.

use std::cell::Cell;
use std::ffi::CStr;
use std::io::Write as _;
use std::sync::Mutex;

use crate::fields::log;

/// `mjLOG_ERROR` of `mjtLogLevel`.
const ERROR: i32 = 3;

/// Who is in a call of the library: what the message of a fatal error says.
#[derive(Debug)]
pub struct Story {
    pub model: String,
    pub context: String,
    pub steps: u64,
}

thread_local! {
    static CURRENT: Cell<*const Story> = const { Cell::new(std::ptr::null()) };
}

type Callback = Box<dyn Fn(&str) + Send>;
static CALLBACK: Mutex<Option<Callback>> = Mutex::new(None);

/// Have `callback` called with the message when MuJoCo fails fatally, just before the process exits with code 1. It runs on
/// the thread that failed, inside the library: it may write files and must not use this crate. The last one set counts.
pub fn on_fatal(callback: impl Fn(&str) + Send + 'static) {
    if let Ok(mut slot) = CALLBACK.lock() {
        *slot = Some(Box::new(callback));
    }
}

/// Run a call of the library under a story.
#[inline]
pub fn tell<T>(story: &Story, call: impl FnOnce() -> T) -> T {
    let before = CURRENT.replace(story);
    let result = call();
    CURRENT.set(before);
    result
}

/// The handler that `Library::open` registers. `message` is an `mjLogMessage`.
pub unsafe extern "C" fn handle(message: *const u8) {
    // SAFETY: MuJoCo passes a live mjLogMessage, laid out as the field table says.
    let level = unsafe { log::LEVEL.get(message) };
    if level != ERROR {
        return;
    }
    // SAFETY: `subject` is a zero-terminated text inside the message.
    let subject = unsafe { CStr::from_ptr(message.add(log::SUBJECT.offset).cast()) }.to_string_lossy();
    let story = CURRENT.get();
    // SAFETY: `tell` keeps the story alive for as long as the pointer is set, and this thread is inside `tell`.
    let place = match unsafe { story.as_ref() } {
        Some(Story { model, context, steps }) => {
            format!("in the model `{model}`, {context}, after {steps} physics steps")
        }
        None => "while a model was made".to_owned(),
    };
    let text = format!("MuJoCo cannot go on: {subject}\n{place}");
    // Nothing can be done about a standard error that is closed.
    let _ =
        writeln!(std::io::stderr(), "error: {text}\ntry: `tony resume RUN`: the last committed checkpoint is intact");
    if let Ok(slot) = CALLBACK.try_lock()
        && let Some(callback) = slot.as_ref()
    {
        callback(&text);
    }
    // SAFETY: ends the process. Not `std::process::exit`: static destructors must not run while other threads are inside
    // the library.
    unsafe { _exit(1) }
}

unsafe extern "C" {
    /// POSIX: end the process without running destructors.
    fn _exit(status: i32) -> !;
}
