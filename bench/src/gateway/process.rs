//! Programs under measurement: started, placed on cores, watched through `/proc`, stopped.

use std::{fs, io::Read, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// Clock ticks of `/proc` a second, on every Linux there is.
const TICKS: u64 = 100;

/// A child that ends with this program.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// The first line it said: where it is reached.
    pub(super) says: String,
}

/// Waits until whoever started this program is gone: its input ends then.
pub(super) async fn abandoned() {
    let reading = tokio::task::spawn_blocking(|| {
        let mut rest = Vec::new();
        drop(std::io::stdin().read_to_end(&mut rest));
    });
    drop(reading.await);
}

/// The measured programs get the first core and everything else the second, where there are two. Says whether it is so.
pub(super) fn share_out() -> bool {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let pinned = cores > 1
        && std::process::Command::new("taskset")
            .args(["-a", "-c", "-p", "1"])
            .arg(std::process::id().to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
    if !pinned {
        eprintln!(
            "the programs share their cores: `taskset` is missing, or there is one core only"
        );
    }
    pinned
}

/// A command on one core, where cores are shared out.
pub(super) fn on_core(core: &str, program: &str, pinned: bool) -> Command {
    let mut command = if pinned {
        let mut command = Command::new("taskset");
        command.args(["-c", core, program]);
        command
    } else {
        Command::new(program)
    };
    command.kill_on_drop(true);
    command
}

fn ourselves() -> String {
    let path = std::env::current_exe().expect("this program has a path");
    path.to_string_lossy().into_owned()
}

impl Process {
    /// The scripted upstream.
    pub(super) async fn upstream(pinned: bool) -> Self {
        let mut command = on_core("1", &ourselves(), pinned);
        command.arg("upstream");
        Self::start(command).await
    }

    /// Tollgate before an upstream, over `SQLite` where no server is named.
    pub(super) async fn tollgate(
        upstream: &str,
        database: Option<&str>,
        wallets: usize,
        pinned: bool,
    ) -> Self {
        let mut command = on_core("0", &ourselves(), pinned);
        command.args(["tollgate", "--upstream", upstream]);
        command.args(["--wallets", &wallets.to_string()]);
        if let Some(server) = database {
            command.args(["--database", server]);
        }
        Self::start(command).await
    }

    async fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let said = child.stdout.take().expect("its output is ours");
        let says = BufReader::new(said).lines().next_line().await;
        let says = says
            .expect("its output reads")
            .expect("it says where it is");
        Self { child, says }
    }

    /// Its number; as `taskset` becomes the program it starts, also that of the program.
    pub(super) fn id(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Ends it in order.
    pub(super) async fn stop(mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait().await);
    }
}

/// Processor time of a process and its children so far, in milliseconds.
pub(super) fn cpu_millis(process: u32) -> u64 {
    own_millis(process) + children(process).into_iter().map(cpu_millis).sum::<u64>()
}

/// Processor time of a process without its children.
pub(super) fn own_millis(process: u32) -> u64 {
    let Ok(stat) = fs::read_to_string(format!("/proc/{process}/stat")) else {
        return 0;
    };
    // The name may hold anything; what follows its last parenthesis does not.
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |place: usize| {
        fields
            .get(place)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0_u64)
    };
    (ticks(11) + ticks(12)) * 1_000 / TICKS
}

fn children(process: u32) -> Vec<u32> {
    let path = format!("/proc/{process}/task/{process}/children");
    let listed = fs::read_to_string(path).unwrap_or_default();
    listed
        .split_whitespace()
        .filter_map(|id| id.parse().ok())
        .collect()
}

/// Processor time of every process of this name, in milliseconds.
pub(super) fn cpu_millis_of(name: &str) -> u64 {
    let Ok(all) = fs::read_dir("/proc") else {
        return 0;
    };
    all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|id| {
            fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|comm| comm.trim() == name)
        })
        .map(own_millis)
        .sum()
}

/// A figure of `/proc/<id>/status` in KiB, of the process and its children.
pub(super) fn memory_kib(process: u32, figure: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let own = status
        .lines()
        .find_map(|line| line.strip_prefix(figure)?.strip_prefix(':'))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .unwrap_or(0);
    let of_children = children(process)
        .into_iter()
        .map(|child| memory_kib(child, figure));
    own + of_children.sum::<u64>()
}

/// Lets the kernel look for the peak of a process and its children anew.
pub(super) fn forget_peak(process: u32) {
    const PEAK: &str = "5";
    drop(fs::write(format!("/proc/{process}/clear_refs"), PEAK));
    children(process).into_iter().for_each(forget_peak);
}
