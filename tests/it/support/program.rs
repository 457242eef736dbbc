//! The program `tollgate` itself, as `cargo build --workspace --all-targets` put it beside the tests, with a database
//! and a data directory of its own.

use super::database::TestDatabase;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStderr, ChildStdout, Command},
    time::timeout,
};

/// Longer than any command takes on a busy machine.
const LIMIT: Duration = Duration::from_mins(1);

/// Where the program's files are, and how it is told.
pub struct Program {
    pub database: TestDatabase,
    folder: TempDir,
    settings: Vec<(String, String)>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; none when it was killed.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// A server that runs.
pub struct Serving {
    /// Where it listens: `http://127.0.0.1:1234`.
    pub base: String,
    /// What it printed up to then.
    pub printed: String,
    child: Child,
    out: BufReader<ChildStdout>,
    err: BufReader<ChildStderr>,
}

impl Program {
    /// One on a database without a table.
    pub async fn new() -> Self {
        Self {
            database: TestDatabase::empty().await,
            folder: tempfile::tempdir().expect("a temporary folder can be made"),
            settings: Vec::new(),
        }
    }

    /// With one more setting.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A path in its folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("DATABASE_URL", &self.database.url)
            .env("TOLLGATE_DATA_DIR", self.file("data"))
            .env("TOLLGATE_LISTEN", "127.0.0.1:0")
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs a command to its end.
    pub async fn run(&self, arguments: &[&str]) -> Ended {
        self.run_typing(arguments, "").await
    }

    /// Runs a command to its end with something typed.
    pub async fn run_typing(&self, arguments: &[&str], typed: &str) -> Ended {
        let mut child = self
            .command(arguments)
            .spawn()
            .expect("the program can be run");
        let mut typing = child.stdin.take().expect("it has an input");
        // A program that refuses its settings does not read.
        typing.write_all(typed.as_bytes()).await.ok();
        drop(typing);
        let output = timeout(LIMIT, child.wait_with_output())
            .await
            .unwrap_or_else(|_| panic!("{arguments:?} ends in time"))
            .expect("the program runs");
        Ended {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).expect("it prints text"),
            err: String::from_utf8(output.stderr).expect("it prints text"),
        }
    }

    fn spawn(&self, arguments: &[&str]) -> (Child, BufReader<ChildStdout>, BufReader<ChildStderr>) {
        let mut child = self
            .command(arguments)
            .spawn()
            .expect("the program can be run");
        let err = BufReader::new(child.stderr.take().expect("it has an error output"));
        let out = BufReader::new(child.stdout.take().expect("it has an output"));
        (child, out, err)
    }

    /// Starts `serve`, and waits until it listens.
    pub async fn serve(&self) -> Serving {
        let (child, out, mut err) = self.spawn(&["serve"]);
        let mut log = String::new();
        let listens = async {
            loop {
                let mut line = String::new();
                let read = err.read_line(&mut line).await.expect("it prints text");
                assert!(read > 0, "serve ended before it listened: {log}");
                log.push_str(&line);
                if let Some((_, rest)) = line.split_once("listening on ") {
                    let address = rest.split_whitespace().next().unwrap_or_default();
                    return address.to_owned();
                }
            }
        };
        let address = timeout(LIMIT, listens).await.expect("it listens in time");
        let mut serving = Serving {
            base: format!("http://{address}"),
            printed: String::new(),
            child,
            out,
            err,
        };
        serving.read_printed().await;
        serving
    }

    /// Starts `demo`, and waits until it has said what its visitors need.
    pub async fn demo(&self) -> Serving {
        let (child, mut out, err) = self.spawn(&["demo"]);
        let mut printed = String::new();
        while !printed.contains("Ctrl-C ends it") {
            let read = timeout(LIMIT, out.read_line(&mut printed)).await;
            let read = read.expect("it says it in time").expect("it prints text");
            assert!(read > 0, "demo ended: {printed}");
        }
        let (_, rest) = printed.split_once("Open ").expect("it says where");
        let (base, _) = rest.split_once("/console").expect("it says where");
        Serving {
            base: base.trim().to_owned(),
            printed,
            child,
            out,
            err,
        }
    }

    /// Removes its database.
    pub async fn finish(self) {
        self.database.drop().await;
    }
}

impl Serving {
    /// What stands in its output by now: it is written before the server says that it listens.
    async fn read_printed(&mut self) {
        let mut line = String::new();
        let read = self.out.read_line(&mut line);
        if timeout(Duration::from_millis(300), read).await.is_ok() {
            self.printed.push_str(&line);
        }
    }

    /// The path of the set-up link that it printed; none where it printed none.
    pub fn setup_path(&self) -> Option<String> {
        let (_, rest) = self.printed.split_once(&format!("Open {}", self.base))?;
        rest.split_whitespace().next().map(str::to_owned)
    }

    /// How much memory it uses now, in bytes; forgets the peak so far.
    pub fn memory(&self) -> usize {
        let id = self.child.id().expect("it runs");
        fs::write(format!("/proc/{id}/clear_refs"), "5").expect("the peak can be forgotten");
        self.status("VmRSS:")
    }

    /// The most memory that it used since [`Serving::memory`], in bytes.
    pub fn peak(&self) -> usize {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> usize {
        let id = self.child.id().expect("it runs");
        let status = fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
        kib.expect("a figure") << 10
    }

    /// Sends SIGTERM.
    pub async fn terminate(&self) {
        let id = self.child.id().expect("it runs").to_string();
        let sent = Command::new("sh")
            .args(["-c", "kill -TERM \"$0\"", &id])
            .status()
            .await
            .expect("there is a shell");
        assert!(sent.success());
    }

    /// Waits until it has ended, and says how.
    pub async fn ended(mut self) -> Ended {
        let (mut out, mut err) = (self.printed.clone(), String::new());
        let reading = async {
            self.out.read_to_string(&mut out).await.ok();
            self.err.read_to_string(&mut err).await.ok();
            self.child.wait().await
        };
        let status = timeout(LIMIT, reading)
            .await
            .expect("it ends in time")
            .expect("it ran");
        Ended {
            code: status.code(),
            out,
            err,
        }
    }

    /// SIGTERM, and a clean end.
    pub async fn stop(self) {
        self.terminate().await;
        let ended = self.ended().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
}

/// The program, which must be built of the sources as they are.
fn binary() -> PathBuf {
    let tests = std::env::current_exe().expect("this test has a path");
    let folder = tests
        .ancestors()
        .nth(2)
        .expect("tests are built into target/<profile>/deps");
    let program = folder.join("tollgate");
    let advice = "build it: cargo build --workspace --all-targets";
    let built =
        changed(&program).unwrap_or_else(|| panic!("{} is missing; {advice}", program.display()));
    let sources = fs::read_to_string(folder.join("tollgate.d")).expect("cargo lists the sources");
    let (_, sources) = sources.split_once(": ").expect("a target and its sources");
    for source in sources.split_whitespace() {
        let newer = changed(Path::new(source)).is_none_or(|time| time > built);
        assert!(!newer, "the program is older than {source}; {advice}");
    }
    program
}

fn changed(path: &Path) -> Option<std::time::SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}
