//! A page of ours in Chromium without a window, for tests that look at it.
//!
//! The browser is spoken to in its `DevTools` protocol: JSON texts, each ended by a zero byte, over two pipes. Chromium wants these as its
//! file descriptors 3 and 4; a shell puts its standard input and output there.

use std::io::{BufRead, BufReader, Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use base64::Engine;
use serde_json::{Value, json};

use crate::failure::{Failure, Result};
use crate::film::in_path;

/// The variable that names the browser, where it is not found by itself.
pub const VARIABLE: &str = "TONY_CHROMIUM";
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// Where it is on a Mac.
const APPLICATION: &str = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome";
/// An answer that has not come by then does not come.
const PATIENCE: Duration = Duration::from_mins(1);

/// The browser of this machine, if it has one.
pub fn find() -> Option<PathBuf> {
    let named = std::env::var_os(VARIABLE).map(PathBuf::from);
    let application = || Some(PathBuf::from(APPLICATION)).filter(|path| path.is_file());
    named.or_else(|| NAMES.into_iter().find_map(in_path)).or_else(application)
}

/// A PNG file's pixels, three bytes each.
pub fn pixels(png: &[u8]) -> Result<Vec<[u8; 3]>> {
    let failed = |error: png::DecodingError| Failure::failed("browser", format!("a picture cannot be read: {error}"));
    let mut reader = png::Decoder::new(Cursor::new(png)).read_info().map_err(failed)?;
    let mut bytes = vec![0; reader.output_buffer_size().unwrap_or(0)];
    let info = reader.next_frame(&mut bytes).map_err(failed)?;
    Ok(bytes[..info.buffer_size()].chunks_exact(info.color_type.samples()).map(|p| [p[0], p[1], p[2]]).collect())
}

/// A page that is open. It closes when dropped.
pub struct Browser {
    process: Child,
    /// What is asked.
    questions: ChildStdin,
    /// What is answered, and what happens beside.
    answers: Receiver<Value>,
    asked: u64,
    /// The page.
    session: Option<String>,
    /// Its own folder for everything that it writes.
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Open a file of ours, followed by a `#hash`, in a window so many pixels wide and high.
    pub fn open(file: &Path, hash: &str, size: [u32; 2]) -> Result<Self> {
        let program = find().ok_or_else(|| Failure::failed("no_browser", "there is no Chromium here"))?;
        let profile = tempfile::tempdir()?;
        let mut process = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1"])
            .arg(&program)
            // It sees nothing but a page of ours that may load nothing, and no container lets it build a sandbox of its own.
            .args(["--headless", "--remote-debugging-pipe", "--no-sandbox", "--hide-scrollbars", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"])
            // Every machine draws the same pictures, whatever its graphics device.
            .args(["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--force-color-profile=srgb"])
            // Lines and text by that renderer take ten times as long as by the processor itself.
            .args(["--disable-accelerated-2d-canvas", "--disable-gpu-rasterization"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (Some(questions), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(Failure::failed("browser", "the browser has no pipes"));
        };
        let (heard, answers) = channel();
        std::thread::spawn(move || {
            for text in BufReader::new(output).split(0) {
                let Some(value) = text.ok().and_then(|text| serde_json::from_slice(&text).ok()) else { return };
                if heard.send(value).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self { process, questions, answers, asked: 0, session: None, _profile: profile };
        let page = fs_err::canonicalize(file)?;
        let url = format!("file://{}#{hash}", page.display());
        let target = browser.ask("Target.createTarget", &json!({"url": "about:blank"}))?;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.ask("Target.attachToTarget", &attach)?;
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        browser.resize(size)?;
        browser.ask("Page.navigate", &json!({"url": url}))?;
        browser.wait_for("document.documentElement?.dataset.player === 'ready'")?;
        Ok(browser)
    }

    /// Make the page so many pixels wide and high.
    pub fn resize(&mut self, [width, height]: [u32; 2]) -> Result<()> {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.ask("Emulation.setDeviceMetricsOverride", &size).map(drop)
    }

    /// The value of an expression in the page.
    pub fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let mut answer = self.ask("Runtime.evaluate", &json!({"expression": expression, "returnByValue": true}))?;
        if let Some(text) = answer["exceptionDetails"]["exception"]["description"].as_str() {
            return Err(Failure::failed("browser", format!("the page failed: {text}")));
        }
        Ok(answer["result"]["value"].take())
    }

    /// What the page looks like, as a PNG file.
    pub fn picture(&mut self) -> Result<Vec<u8>> {
        let answer = self.ask("Page.captureScreenshot", &json!({"format": "png", "optimizeForSpeed": true}))?;
        let text = answer["data"].as_str().unwrap_or_default();
        let bytes = base64::engine::general_purpose::STANDARD.decode(text);
        bytes.map_err(|error| Failure::failed("browser", format!("a picture cannot be read: {error}")))
    }

    /// Until an expression holds, or a script of the page has failed.
    pub fn wait_for(&mut self, condition: &str) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if self.evaluate(condition)? == true {
                return Ok(());
            }
            if let Some(text) = self.evaluate("document.documentElement?.dataset.error")?.as_str() {
                return Err(Failure::failed("browser", format!("the page failed: {text}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(Failure::failed("browser", format!("the page is not ready after {} s", PATIENCE.as_secs())))
    }

    /// Press the mouse at one place and let it go at another.
    pub fn drag(&mut self, from: [u32; 2], to: [u32; 2]) -> Result<()> {
        for (kind, [x, y]) in [("mousePressed", from), ("mouseMoved", to), ("mouseReleased", to)] {
            let event = json!({"type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1});
            self.ask("Input.dispatchMouseEvent", &event)?;
        }
        Ok(())
    }

    /// The answer to a command of the protocol.
    pub fn ask(&mut self, method: &str, params: &Value) -> Result<Value> {
        self.asked += 1;
        let mut question = json!({"id": self.asked, "method": method, "params": params});
        if let Some(session) = &self.session {
            question["sessionId"] = session.as_str().into();
        }
        let gone = || Failure::failed("browser", "the browser ended before it was told to").hint("tony doctor");
        let mut text = question.to_string().into_bytes();
        text.push(0);
        self.questions.write_all(&text).map_err(|_| gone())?;
        loop {
            let mut heard = self.answers.recv_timeout(PATIENCE).map_err(|_| gone())?;
            if heard["id"] != self.asked {
                continue;
            }
            if let Some(text) = heard["error"]["message"].as_str() {
                return Err(Failure::failed("browser", format!("{method}: {text}")));
            }
            return Ok(heard["result"].take());
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.session = None;
        // Told to, it ends its own processes too; one that does not listen is ended.
        let told = self.ask("Browser.close", &json!({})).is_ok();
        let started = Instant::now();
        while told && started.elapsed() < Duration::from_secs(5) {
            if matches!(self.process.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
