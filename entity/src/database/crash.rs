//! Named points at which a test may end the process as a power cut would. A release build has none of it.

/// The process passes this point, and ends here where a test said so.
#[inline]
pub fn point(name: &'static str) {
    #[cfg(debug_assertions)]
    armed::pass(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

/// Ends this process without a word when it passes a point for the n-th time from now on. In a release build, never.
pub fn arm(name: &str, nth: u32) {
    #[cfg(debug_assertions)]
    armed::set(name, nth);
    #[cfg(not(debug_assertions))]
    let _ = (name, nth);
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    };

    static ARMED: AtomicBool = AtomicBool::new(false);
    static FUSE: Mutex<Option<(String, u32)>> = Mutex::new(None);

    pub(super) fn set(name: &str, nth: u32) {
        *FUSE.lock().unwrap_or_else(PoisonError::into_inner) = Some((name.to_owned(), nth));
        ARMED.store(true, Ordering::Release);
    }

    pub(super) fn pass(name: &str) {
        if !ARMED.load(Ordering::Acquire) {
            return;
        }
        let mut fuse = FUSE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, left)) = fuse.as_mut().filter(|(armed, _)| armed == name) {
            *left = left.saturating_sub(1);
            if *left == 0 {
                std::process::abort();
            }
        }
    }
}
