//! What the process asks of the kernel about its memory.

/// Asks for pages of the usual size. The allocator asks for huge ones, of which a gateway that holds a little for each of
/// many calls fills only a corner: without them a busy process is a fifth smaller, and no slower that could be measured.
pub fn use_small_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages stay as they are");
    }
}
