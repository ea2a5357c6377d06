//! The opened shared library: its functions, and the proof that it is the one the field table was made for.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::{Error, Result, fatal, fetch, fields, proof};

/// Declares the functions that the binding calls and loads them by name. Structures are opaque bytes here; fields are
/// reached through the table.
macro_rules! functions {
    ($($name:ident: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// Functions of the library, by their C names.
        #[allow(non_snake_case)]
        pub(crate) struct Functions {
            $(pub $name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }

        #[allow(non_snake_case)]
        impl Functions {
            /// # Safety
            /// `library` is MuJoCo of the pinned version, so every function has the type that is written here, and it is
            /// never closed.
            unsafe fn load(library: &libloading::Library) -> std::result::Result<Self, libloading::Error> {
                // SAFETY: the caller vouches for the types.
                unsafe { Ok(Functions { $($name: *library.get(concat!(stringify!($name), "\0").as_bytes())?,)* }) }
            }
        }
    };
}

functions! {
    mju_setLogHandler: fn(unsafe extern "C" fn(*const u8)) -> *const c_void;
    mj_parseXMLString: fn(*const c_char, *const c_void, *mut c_char, c_int) -> *mut c_void;
    mj_compile: fn(*mut c_void, *const c_void) -> *mut u8;
    mjs_getError: fn(*mut c_void) -> *const c_char;
    mj_deleteSpec: fn(*mut c_void);
    mj_copyModel: fn(*mut u8, *const u8) -> *mut u8;
    mj_deleteModel: fn(*mut u8);
    mj_setConst: fn(*mut u8, *mut u8);
    mj_name2id: fn(*const u8, c_int, *const c_char) -> c_int;
    mj_id2name: fn(*const u8, c_int, c_int) -> *const c_char;
    mj_makeData: fn(*const u8) -> *mut u8;
    mj_deleteData: fn(*mut u8);
    mj_resetData: fn(*const u8, *mut u8);
    mj_step: fn(*const u8, *mut u8);
    mj_forward: fn(*const u8, *mut u8);
    mj_forwardSkip: fn(*const u8, *mut u8, c_int, c_int);
    mj_checkPos: fn(*const u8, *mut u8);
    mj_checkVel: fn(*const u8, *mut u8);
    mj_checkAcc: fn(*const u8, *mut u8);
    mj_Euler: fn(*const u8, *mut u8);
    mj_kinematics: fn(*const u8, *mut u8);
    mj_subtreeVel: fn(*const u8, *mut u8);
    mj_rnePostConstraint: fn(*const u8, *mut u8);
    mj_stateSize: fn(*const u8, c_int) -> c_int;
    mj_getState: fn(*const u8, *const u8, *mut f64, c_int);
    mj_setState: fn(*const u8, *mut u8, *const f64, c_int);
    mj_objectVelocity: fn(*const u8, *const u8, c_int, c_int, *mut f64, c_int);
    mj_geomDistance: fn(*const u8, *mut u8, c_int, c_int, f64, *mut f64) -> f64;
    mj_contactForce: fn(*const u8, *const u8, c_int, *mut f64);
    mj_jacBody: fn(*const u8, *const u8, *mut f64, *mut f64, c_int);
    mj_jacBodyCom: fn(*const u8, *const u8, *mut f64, *mut f64, c_int);
    mj_jacGeom: fn(*const u8, *const u8, *mut f64, *mut f64, c_int);
    mj_jacSite: fn(*const u8, *const u8, *mut f64, *mut f64, c_int);
}

/// The opened library. Clones share it.
#[derive(Clone)]
pub struct Library {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    functions: Functions,
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MuJoCo {} at {}", self.version(), self.inner.path.display())
    }
}

impl Library {
    /// Open a shared library, check that it has the pinned version, and prove the field table on it (a few milliseconds).
    pub fn open(path: &Path) -> Result<Self> {
        /// The library's initialisers and its slot for the message handler are global: one thread at a time.
        static OPENING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
        let cannot_open = |error: libloading::Error| {
            let reason = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            Error::Open { path: path.to_owned(), reason }
        };
        // SAFETY: opening runs the file's initialisers; the user or the pinned hash vouches for the file. MuJoCo keeps
        // thread-local and global state, so it is never closed.
        let library = ManuallyDrop::new(unsafe { libloading::Library::new(path) }.map_err(cannot_open)?);
        // SAFETY: both functions have had these types in every version of MuJoCo.
        let (number, text) = unsafe {
            let number = library.get::<unsafe extern "C" fn() -> c_int>(b"mj_version\0").map_err(cannot_open)?;
            let text =
                library.get::<unsafe extern "C" fn() -> *const c_char>(b"mj_versionString\0").map_err(cannot_open)?;
            (number(), CStr::from_ptr(text()).to_string_lossy().into_owned())
        };
        if number != fields::VERSION {
            return Err(Error::Version { path: path.to_owned(), found: text });
        }
        // SAFETY: the version is the one that the types were written for.
        let functions = unsafe { Functions::load(&library) }.map_err(cannot_open)?;
        // SAFETY: the handler never unwinds into C and never returns from an error.
        unsafe { (functions.mju_setLogHandler)(fatal::handle) };
        let library = Library { inner: Arc::new(Inner { path: path.to_owned(), functions }) };
        proof::prove(&library).map_err(|what| Error::Layout { path: path.to_owned(), what })?;
        Ok(library)
    }

    /// `3.17.0`.
    pub fn version(&self) -> &'static str {
        fetch::VERSION
    }

    /// The file that was opened.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    pub(crate) fn functions(&self) -> &Functions {
        &self.inner.functions
    }
}
