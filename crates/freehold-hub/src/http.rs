//! The model hub over HTTP: resumable, and given up soon where nothing answers.

use std::io::Read;
use std::time::Duration;

use serde::Deserialize;
use ureq::http::Response;
use ureq::{Agent, Body};

use crate::error::Fail;
use crate::part::Part;
use crate::progress::Progress;
use crate::source::HfFile;
use crate::state::State;

/// Tries of one file, each going on where the last one was cut; a try without a byte gained is the last.
const TRIES: usize = 5;
const BLOCK: usize = 1 << 17;
/// A list of files; larger is no list.
const MAX_LIST: u64 = 16 << 20;

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    pub connect: Duration,
    /// Without a single byte.
    pub stall: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), stall: Duration::from_secs(15) }
    }
}

/// A model hub.
pub(crate) struct Hub {
    agent: Agent,
    /// Without a slash at its end.
    base: String,
}

impl Hub {
    pub fn new(base: &str, timeouts: Timeouts) -> Result<Self, Fail> {
        let base = base.trim().trim_end_matches('/').to_owned();
        if !base.starts_with("https://") && !base.starts_with("http://") {
            return Err(Fail::source(format!("HF_ENDPOINT is `{base}`; it must start with https://")));
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .user_agent(concat!("freehold/", env!("CARGO_PKG_VERSION")))
            // Weights do not compress, and a range of a compressed body is not a range of the file.
            .accept_encoding("identity")
            .timeout_resolve(Some(timeouts.connect))
            .timeout_connect(Some(timeouts.connect))
            .timeout_recv_response(Some(timeouts.stall))
            .timeout_per_read(Some(timeouts.stall))
            .timeout_per_write(Some(timeouts.stall))
            .build();
        Ok(Self { agent: Agent::new_with_config(config), base })
    }

    /// Writes the file to the end of `part`. `size` is the catalogue's; `hashed` says that a known hash will be checked,
    /// so that a wrong resumption cannot pass.
    pub fn download(
        &self,
        file: &HfFile,
        part: &mut Part,
        state: &mut State,
        size: Option<u64>,
        hashed: bool,
        progress: &dyn Progress,
    ) -> Result<(), Fail> {
        let url = format!("{}/{}/resolve/main/{}", self.base, file.repo, file.file);
        let mut last = String::new();
        for attempt in 0..TRIES {
            if part.len() > 0 && state.etag.is_none() && !hashed {
                part.clear()?;
            }
            if size == Some(part.len()) {
                return Ok(());
            }
            let before = part.len();
            match self.once(&url, part, state, size, progress) {
                Ok(()) => return Ok(()),
                Err(Fail::Source(why)) => last = why,
                Err(fatal) => return Err(fatal),
            }
            if part.len() <= before {
                break;
            }
            part.sync()?;
            if attempt + 1 < TRIES {
                progress.message(&format!("{last}; going on from byte {}", part.len()));
            }
        }
        Err(Fail::Source(last))
    }

    fn once(
        &self,
        url: &str,
        part: &mut Part,
        state: &mut State,
        size: Option<u64>,
        progress: &dyn Progress,
    ) -> Result<(), Fail> {
        let mut response = self.get(url, part.len(), state.etag.as_deref())?;
        // The range cannot be had: what is there is not the beginning of this file.
        if response.status().as_u16() == 416 && part.len() > 0 {
            part.clear()?;
            response = self.get(url, 0, None)?;
        }
        let total = match response.status().as_u16() {
            200 => {
                part.clear()?;
                content_length(&response)
            }
            206 => {
                let (from, total) = content_range(&response).ok_or_else(|| {
                    Fail::source(format!("{url}: answered with a range that cannot be read"))
                })?;
                if from != part.len() {
                    return Err(Fail::source(format!(
                        "{url}: asked from byte {}, sent from {from}",
                        part.len()
                    )));
                }
                total
            }
            401 | 403 => {
                return Err(Fail::source(format!(
                    "{url}: not allowed: the hub wants a login or a licence accepted"
                )));
            }
            404 => return Err(Fail::source(format!("{url}: no such file"))),
            status => return Err(Fail::source(format!("{url}: answered {status}"))),
        };
        if let (Some(due), Some(total)) = (size, total)
            && due != total
        {
            return Err(Fail::source(format!(
                "{url}: has {total} bytes, and {due} are due: another file; refused"
            )));
        }
        state.etag = header(&response, "etag").filter(|tag| tag.starts_with('"')).map(str::to_owned);
        state.save()?;
        progress.start(total.or(size).unwrap_or(0));
        progress.advance(part.len());
        let mut body = response.into_body().into_reader();
        let mut block = vec![0; BLOCK];
        loop {
            match body.read(&mut block) {
                Ok(0) => break,
                Ok(n) => {
                    part.write(&block[..n])?;
                    progress.advance(n as u64);
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => {
                    return Err(Fail::source(format!(
                        "{url}: cut at byte {}: {}",
                        part.len(),
                        body_error(&e)
                    )));
                }
            }
        }
        match total {
            Some(total) if part.len() < total => {
                Err(Fail::source(format!("{url}: cut at byte {} of {total}", part.len())))
            }
            _ => Ok(()),
        }
    }

    fn get(&self, url: &str, from: u64, etag: Option<&str>) -> Result<Response<Body>, Fail> {
        let mut request = self.agent.get(url);
        if from > 0 {
            request = request.header("Range", format!("bytes={from}-"));
            // If the file has changed since, the whole of the new one comes.
            if let Some(etag) = etag {
                request = request.header("If-Range", etag);
            }
        }
        request.call().map_err(|e| Fail::source(format!("{url}: {}", plain(&e))))
    }

    /// Names of the files of a repository.
    pub fn files(&self, repo: &str) -> Result<Vec<String>, Fail> {
        #[derive(Deserialize)]
        struct Sibling {
            rfilename: String,
        }
        #[derive(Deserialize)]
        struct Listing {
            siblings: Vec<Sibling>,
        }
        let url = format!("{}/api/models/{repo}", self.base);
        let response = self.get(&url, 0, None)?;
        match response.status().as_u16() {
            200 => {}
            404 | 401 => return Err(Fail::source(format!("{url}: no such repository"))),
            status => return Err(Fail::source(format!("{url}: answered {status}"))),
        }
        let mut text = Vec::new();
        let mut body = response.into_body().into_reader().take(MAX_LIST);
        body.read_to_end(&mut text).map_err(|e| Fail::source(format!("{url}: {}", body_error(&e))))?;
        let listing: Listing = serde_json::from_slice(&text)
            .map_err(|e| Fail::source(format!("{url}: no list of files: {e}")))?;
        Ok(listing.siblings.into_iter().map(|s| s.rfilename).collect())
    }
}

/// What a person can do something with.
fn plain(e: &ureq::Error) -> String {
    match e {
        ureq::Error::Timeout(t) => format!("no answer in time ({t})"),
        ureq::Error::HostNotFound => "the host is not known here (no network?)".into(),
        ureq::Error::ConnectionFailed => "no connection".into(),
        ureq::Error::Io(e) => e.to_string(),
        other => other.to_string(),
    }
}

/// Errors while reading a body come wrapped.
fn body_error(e: &std::io::Error) -> String {
    match e.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>()) {
        Some(inner) => plain(inner),
        None => e.to_string(),
    }
}

fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

fn content_length(response: &Response<Body>) -> Option<u64> {
    header(response, "content-length")?.trim().parse().ok()
}

/// First byte, and length of the whole file where it is told: `bytes 100-199/200`.
fn content_range(response: &Response<Body>) -> Option<(u64, Option<u64>)> {
    let range = header(response, "content-range")?.trim().strip_prefix("bytes ")?;
    let (span, total) = range.split_once('/')?;
    let (from, _) = span.split_once('-')?;
    Some((from.trim().parse().ok()?, total.trim().parse().ok()))
}
