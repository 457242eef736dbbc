//! The ways to the upstream that are compared.

use serde_json::json;

use super::{
    Options,
    nginx::{self, Nginx},
    process::{Process, forget_peak, memory_kib},
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
    key: String,
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
        key: "none".to_owned(),
        program: None,
    }];
    match nginx::start(&direct, pinned).await {
        Some(nginx) => all.push(Target {
            name: nginx::NAME,
            address: nginx.address.clone(),
            has_server: false,
            path: CHAT,
            key: "none".to_owned(),
            program: Some(Program::Nginx(nginx)),
        }),
        None => eprintln!("nginx is left out: it is not installed"),
    }
    let databases = [
        (None, "Tollgate, SQLite", "Tollgate, SQLite, translated"),
        (
            options.postgres.as_deref(),
            "Tollgate, PostgreSQL",
            "Tollgate, PostgreSQL, translated",
        ),
    ];
    for (place, (server, same, translated)) in databases.into_iter().enumerate() {
        if place == 1 && server.is_none() {
            eprintln!("PostgreSQL is left out: set TEST_DATABASE_URL or --postgres to measure it");
            continue;
        }
        let process = Process::tollgate(&direct, server, pinned).await;
        let (address, key) = process.says.split_once(' ').expect("an address and a key");
        let (address, key) = (address.to_owned(), key.to_owned());
        let id = process.id();
        all.push(Target {
            name: same,
            address: address.clone(),
            has_server: server.is_some(),
            path: CHAT,
            key: key.clone(),
            program: Some(Program::Tollgate(process)),
        });
        all.push(Target {
            name: translated,
            address,
            has_server: server.is_some(),
            path: MESSAGES,
            key,
            program: Some(Program::Shared(id)),
        });
    }
    all
}

impl Target {
    /// A whole request for the model that answers in this way.
    pub(super) fn request(&self, model: &str, streamed: bool) -> Vec<u8> {
        let body = json!({
            "model": model,
            "max_tokens": 1_000,
            "stream": streamed,
            "messages": [{"role": "user", "content": "The toll is paid by the word. ".repeat(16)}],
        })
        .to_string();
        format!(
            "POST {} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\nauthorization: Bearer {}\r\nanthropic-version: 2023-06-01\r\ncontent-length: {}\r\n\r\n{body}",
            self.path,
            self.key,
            body.len()
        )
        .into_bytes()
    }

    /// Whether its process is that of the row before.
    pub(super) fn shares_process(&self) -> bool {
        matches!(self.program, Some(Program::Shared(_)))
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
