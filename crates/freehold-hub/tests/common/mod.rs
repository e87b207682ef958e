//! Stand-ins: a model hub on the loopback, a `python3` with wheels, and an ear for progress.
#![allow(dead_code)] // each test file uses a part

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use freehold_hub::{Catalogue, Progress};
use sha2::{Digest, Sha256};

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// Bytes that look like a model to the magic check, and like nothing else.
pub fn weights(len: usize) -> Vec<u8> {
    let mut x = 7u32;
    let mut out = b"GGUF".to_vec();
    while out.len() < len {
        x = x.wrapping_mul(1664525).wrapping_add(1013904223);
        out.push((x >> 24) as u8);
    }
    out
}

pub fn catalogue(bytes: &[u8], sources: &str) -> Catalogue {
    Catalogue::parse(&format!(
        "[[model]]\nname = \"tiny\"\naliases = [\"small\"]\ntitle = \"Tiny\"\nlicence = \"MIT\"\nfile = \"tiny.gguf\"\nsize = {}\n\
         sha256 = \"{}\"\n{sources}",
        bytes.len(),
        sha256(bytes)
    ))
    .unwrap()
}

/// How the stand-in answers one request.
#[derive(Clone)]
pub enum Reply {
    /// The file, in ranges if asked.
    Whole,
    /// So many bytes of what was asked for, then the connection ends.
    Cut(usize),
    /// The file from its beginning, whatever range was asked.
    NoRanges,
    Status(u16),
    /// Nothing at all, until the client gives up.
    Silence,
    /// So many bytes, then nothing.
    Stall(usize),
    Body(String),
}

/// A hub that gives one file. `replies` are for the requests in turn; the last one for all others.
pub struct Stand {
    pub base: String,
    /// Head of each request.
    pub requests: Arc<Mutex<Vec<String>>>,
}

impl Stand {
    pub fn new(bytes: Vec<u8>, replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (bytes, seen) = (Arc::new(bytes), requests.clone());
        std::thread::spawn(move || {
            for (n, stream) in listener.incoming().enumerate() {
                let reply = replies[n.min(replies.len() - 1)].clone();
                let (bytes, seen) = (bytes.clone(), seen.clone());
                std::thread::spawn(move || serve(stream.unwrap(), &bytes, &reply, &seen));
            }
        });
        Self { base, requests }
    }

    pub fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

fn serve(mut stream: TcpStream, bytes: &[u8], reply: &Reply, seen: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let from = head
        .lines()
        .find_map(|l| {
            l.to_lowercase().strip_prefix("range: bytes=").map(|r| r.trim_end_matches('-').to_owned())
        })
        .and_then(|n| n.trim().parse::<usize>().ok());
    seen.lock().unwrap().push(head);
    let pause = || std::thread::sleep(std::time::Duration::from_secs(20));
    let (from, send) = match reply {
        Reply::Silence => return pause(),
        Reply::Status(code) => {
            let _ = write!(stream, "HTTP/1.1 {code} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            return;
        }
        Reply::Body(text) => {
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
                text.len()
            );
            return;
        }
        Reply::NoRanges => (None, usize::MAX),
        Reply::Whole => (from, usize::MAX),
        Reply::Cut(n) | Reply::Stall(n) => (from, *n),
    };
    let start = from.unwrap_or(0).min(bytes.len());
    let body = &bytes[start..];
    let status = if from.is_some() { "206 Partial Content" } else { "200 OK" };
    let mut reply_head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nETag: \"v1\"\r\nConnection: close\r\n",
        body.len()
    );
    if from.is_some() {
        reply_head +=
            &format!("Content-Range: bytes {start}-{}/{}\r\n", bytes.len().saturating_sub(1), bytes.len());
    }
    let _ = stream.write_all((reply_head + "\r\n").as_bytes());
    let _ = stream.write_all(&body[..send.min(body.len())]);
    let _ = stream.flush();
    if matches!(reply, Reply::Stall(_)) {
        pause();
    }
}

/// An address where nobody listens.
pub fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[derive(Default)]
pub struct Ear {
    pub messages: RefCell<Vec<String>>,
    pub total: RefCell<u64>,
    pub bytes: RefCell<u64>,
}

impl Progress for Ear {
    fn start(&self, total: u64) {
        *self.total.borrow_mut() = total;
        *self.bytes.borrow_mut() = 0;
    }
    fn advance(&self, bytes: u64) {
        *self.bytes.borrow_mut() += bytes;
    }
    fn message(&self, text: &str) {
        self.messages.borrow_mut().push(text.to_owned());
    }
}

impl Ear {
    pub fn heard(&self, words: &str) -> bool {
        self.messages.borrow().iter().any(|m| m.contains(words))
    }
}

/// A wheel with one member, deflated.
pub fn wheel(path: &Path, member: &str, bytes: &[u8]) {
    let mut zip = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    let options =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    zip.start_file(member, options).unwrap();
    zip.write_all(bytes).unwrap();
    zip.start_file("x-1.dist-info/METADATA", options).unwrap();
    zip.write_all(b"Name: x").unwrap();
    zip.finish().unwrap();
}

/// A `python3` whose `pip download` copies `<package>.whl` of `wheels`, and logs what it was asked.
#[cfg(unix)]
pub fn fake_python(wheels: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let program = wheels.join("python3");
    let script = format!(
        "#!/bin/sh\necho \"$@\" >> '{0}/log'\n\
         while [ $# -gt 1 ]; do [ \"$1\" = -d ] && to=\"$2\"; shift; done\n\
         name=\"${{1%%==*}}\"\n\
         [ -f '{0}/'$name.whl ] || {{ echo \"ERROR: No matching distribution found for $1\" >&2; exit 1; }}\n\
         cp '{0}/'$name.whl \"$to/$name-1-py3-none-any.whl\"\n",
        wheels.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    program
}
