//! The ways to the upstream that are compared.

use serde_json::json;

use super::{
    Measure, Options,
    nginx::{self, Nginx},
    process::{Process, forget_peak, memory_kib},
    upstream,
};

/// A way, while it is open.
#[derive(Debug)]
pub(super) struct Target {
    /// What the table calls it.
    pub(super) name: &'static str,
    pub(super) address: String,
    /// Whether PostgreSQL works for it.
    pub(super) has_server: bool,
    path: &'static str,
    /// Whose keys ask in turn.
    keys: Vec<String>,
    /// Whether only whole calls are measured: it is a way of another row, asked by many.
    pub(super) of_many: bool,
    program: Option<Program>,
}

#[derive(Debug)]
enum Program {
    Nginx(Nginx),
    Tollgate(Process),
    /// That of the row before.
    Shared(u32),
}

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";

/// Opens every way that can be.
pub(super) async fn all(options: &Options, upstream: &Process, pinned: bool) -> Vec<Target> {
    let direct = upstream.says.clone();
    let mut all = vec![Target {
        name: "direct",
        address: direct.clone(),
        has_server: false,
        path: CHAT,
        keys: vec!["none".to_owned()],
        of_many: false,
        program: None,
    }];
    match nginx::start(&direct, pinned).await {
        Some(nginx) => all.push(Target {
            name: nginx::NAME,
            address: nginx.address.clone(),
            has_server: false,
            path: CHAT,
            keys: vec!["none".to_owned()],
            of_many: false,
            program: Some(Program::Nginx(nginx)),
        }),
        None => eprintln!("nginx is left out: it is not installed"),
    }
    let databases = [
        (
            None,
            [
                "Tollgate, SQLite",
                "Tollgate, SQLite, translated",
                "Tollgate, SQLite, many wallets",
            ],
        ),
        (
            options.postgres.as_deref(),
            [
                "Tollgate, PostgreSQL",
                "Tollgate, PostgreSQL, translated",
                "Tollgate, PostgreSQL, many wallets",
            ],
        ),
    ];
    for (place, (server, names)) in databases.into_iter().enumerate() {
        if place == 1 && server.is_none() {
            eprintln!("PostgreSQL is left out: set TEST_DATABASE_URL or --postgres to measure it");
            continue;
        }
        let wallets = if options.measures(Measure::Calls) {
            options.wallets
        } else {
            0
        };
        let process = Process::tollgate(&direct, server, wallets, pinned).await;
        all.extend(ways(process, names, server.is_some()));
    }
    all
}

/// The ways through one process: as asked by one, translated, and as asked by many.
fn ways(process: Process, names: [&'static str; 3], has_server: bool) -> Vec<Target> {
    let mut words = process.says.split(' ').map(str::to_owned);
    let address = words.next().expect("an address");
    let keys: Vec<String> = words.collect();
    let (first, others) = keys.split_first().expect("a key");
    let (first, others) = (vec![first.clone()], others.to_vec());
    let id = process.id();
    let [same, translated, many] = names;
    let way = |name, path, keys, of_many| Target {
        name,
        address: address.clone(),
        has_server,
        path,
        keys,
        of_many,
        program: Some(Program::Shared(id)),
    };
    let mut all = vec![
        Target {
            program: Some(Program::Tollgate(process)),
            ..way(same, CHAT, first.clone(), false)
        },
        way(translated, MESSAGES, first, false),
    ];
    if !others.is_empty() {
        all.push(way(many, CHAT, others, true));
    }
    all
}

impl Target {
    /// A whole request for the model that answers in this way, by the first who asks.
    pub(super) fn request(&self, model: &str, streamed: bool) -> Vec<u8> {
        self.request_by(&self.keys[0], model, streamed)
    }

    /// The same by each who asks.
    pub(super) fn requests(&self, model: &str, streamed: bool) -> Vec<Vec<u8>> {
        let keys = self.keys.iter();
        keys.map(|key| self.request_by(key, model, streamed))
            .collect()
    }

    fn request_by(&self, key: &str, model: &str, streamed: bool) -> Vec<u8> {
        let body = json!({
            "model": model,
            "max_tokens": if model == upstream::LONG { 2 * upstream::LENGTH } else { 1_000 },
            "stream": streamed,
            "messages": [{"role": "user", "content": "The toll is paid by the word. ".repeat(16)}],
        })
        .to_string();
        format!(
            "POST {} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\nauthorization: Bearer {}\r\nanthropic-version: 2023-06-01\r\ncontent-length: {}\r\n\r\n{body}",
            self.path,
            key,
            body.len()
        )
        .into_bytes()
    }

    /// Whether the others are compared with it.
    pub(super) fn is_yardstick(&self) -> bool {
        matches!(self.program, None | Some(Program::Nginx(_)))
    }

    /// The process between; none where there is nothing between.
    pub(super) fn process(&self) -> Option<u32> {
        self.program.as_ref().map(|program| match program {
            Program::Nginx(nginx) => nginx.id(),
            Program::Tollgate(process) => process.id(),
            Program::Shared(id) => *id,
        })
    }

    pub(super) fn peak_kib(&self) -> u64 {
        self.process().map_or(0, |id| memory_kib(id, "VmHWM"))
    }

    /// Begins to look for the peak anew.
    pub(super) fn forget_peak(&self) {
        if let Some(id) = self.process() {
            forget_peak(id);
        }
    }

    pub(super) async fn stop(&mut self) {
        match self.program.take() {
            Some(Program::Nginx(mut nginx)) => nginx.stop().await,
            Some(Program::Tollgate(process)) => process.stop().await,
            Some(Program::Shared(_)) | None => {}
        }
    }
}
