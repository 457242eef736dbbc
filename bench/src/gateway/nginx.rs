//! nginx as a plain proxy: what moving the bytes alone costs here.

use std::{fs, path::Path};

use tempfile::TempDir;
use tokio::process::Child;

use super::process::on_core;

/// What the table calls it.
pub(super) const NAME: &str = "nginx, plain proxy";

/// A running nginx.
#[derive(Debug)]
pub(super) struct Nginx {
    child: Child,
    pub(super) address: String,
    _folder: TempDir,
}

/// Starts one before the upstream; nothing where it is not installed.
pub(super) async fn start(upstream: &str, pinned: bool) -> Option<Nginx> {
    let program = ["/usr/sbin/nginx", "/usr/bin/nginx"]
        .into_iter()
        .find(|path| Path::new(path).exists())?;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let address = {
        let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        port.local_addr().expect("it has an address").to_string()
    };
    let at = folder.path().display();
    let config = format!(
        "daemon off; worker_processes 1; error_log {at}/error.log; pid {at}/pid;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/f;
  uwsgi_temp_path {at}/u; scgi_temp_path {at}/s; keepalive_requests 1000000000;
  upstream it {{ server {upstream}; keepalive 2048; keepalive_requests 1000000000; }}
  server {{
    listen {address}; tcp_nodelay on;
    location / {{ proxy_pass http://it; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_buffering off; }}
  }}
}}"
    );
    let file = folder.path().join("nginx.conf");
    fs::write(&file, config).expect("the folder is ours");
    let child = on_core("0", program, pinned)
        .arg("-c")
        .arg(&file)
        .spawn()
        .expect("nginx starts");
    for _ in 0..200 {
        if tokio::net::TcpStream::connect(&address).await.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    Some(Nginx {
        child,
        address,
        _folder: folder,
    })
}

impl Nginx {
    pub(super) fn id(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Ends it in order, its worker too.
    pub(super) async fn stop(&mut self) {
        let end = tokio::process::Command::new("kill")
            .arg(self.id().to_string())
            .status();
        if end.await.is_ok_and(|status| status.success()) {
            drop(self.child.wait().await);
        }
    }
}
