//! Recorded episodes as a player.

use super::html::{data_block, escape, page};
use serde::Serialize;
use tony_env::recording::Recording;

/// The player's scripts: solid scenes, screens, then all else.
pub(super) const SCRIPTS: [&str; 3] = [include_str!("scene.js"), include_str!("film.js"), include_str!("player.js")];

#[derive(Serialize)]
struct Data<'a> {
    limit: Option<f64>,
    episodes: &'a [Recording],
}

/// A page that shows nothing but `episodes`.
pub fn replay_page(title: &str, episodes: &[Recording]) -> String {
    let body = format!(
        "<header>\n<p class=\"eyebrow\">tony \u{b7} replay</p>\n<h1>{}</h1>\n</header>\n<section id=\"replay\">\n\
         <p class=\"note\">{HELP}</p>\n{}</section>\n",
        escape(title),
        player(episodes, None)
    );
    page(title, &body, &SCRIPTS)
}

/// How to use the player.
pub(super) const HELP: &str = "Space plays and pauses, the arrow keys step (with Shift ten steps). \
    In a solid scene, drag to turn, drag with Shift to move, turn the wheel or pinch to come nearer (+ and \u{2212} do too), f follows the \
    robot, r starts again. What is red around the robot is a cost; each cost is also a red mark on the time line.";

/// The player's elements and data; `limit` is that of the cost `cost`.
pub(super) fn player(episodes: &[Recording], limit: Option<f64>) -> String {
    let option = |(i, episode): (usize, &Recording)| {
        let trained = if episode.steps == 0 {
            String::new()
        } else {
            format!("after {} steps, ", super::html::grouped(episode.steps as i64))
        };
        let costs = episode.costs().iter().find(|channel| channel.name == "cost");
        let cost = costs.map(|channel| format!(", cost {}", super::html::number(channel.total))).unwrap_or_default();
        let option = episode.option.map(|option| format!("option {option}, ")).unwrap_or_default();
        let text = format!("episode {}: {option}{trained}return {}{cost}", i + 1, super::html::number(episode.total()));
        format!("<option value=\"{i}\">{}</option>", escape(&text))
    };
    let options: Vec<String> = episodes.iter().enumerate().map(option).collect();
    let speeds = ["0.25", "0.5", "1", "2", "4", "8"].map(|speed| {
        let chosen = if speed == "1" { " selected" } else { "" };
        format!("<option value=\"{speed}\"{chosen}>{speed}\u{d7}</option>")
    });
    format!(
        "<div class=\"player\" id=\"player\">\n\
         <div class=\"stage\"><div id=\"stages\"><canvas id=\"stage\" role=\"img\" aria-label=\"Top-down or side view of the episode\" \
         hidden></canvas><canvas id=\"solid\" role=\"img\" tabindex=\"0\" aria-label=\"The scene of the episode; drag to turn it\" hidden>\
         </canvas><p id=\"no-solid\" hidden>This scene is drawn with WebGL 2, and this browser has none or has switched it off. The charts \
         below show the episode all the same.</p></div>\n\
         <div class=\"camera\" id=\"camera\" hidden><button id=\"follow\" type=\"button\" aria-pressed=\"false\">Follow</button>\
         <button id=\"home\" type=\"button\">Reset view</button></div>\
         <dl class=\"counters\" id=\"counters\"></dl></div>\n\
         <canvas id=\"timeline\" aria-hidden=\"true\"></canvas>\n\
         <input id=\"scrub\" type=\"range\" min=\"0\" value=\"0\" step=\"1\" aria-label=\"step of the episode\">\n\
         <div class=\"controls\">\n\
         <button id=\"play\" type=\"button\">Play</button>\n\
         <label>speed <select id=\"speed\">{}</select></label>\n\
         <label class=\"grow\"><span class=\"hidden\">episode</span><select id=\"episode\">{}</select></label>\n\
         </div>\n<p class=\"legend\" id=\"legend\"></p>\n\
         <noscript><p>The replay needs JavaScript; everything else on this page does not.</p></noscript>\n</div>\n{}",
        speeds.concat(),
        options.concat(),
        data_block("id=\"episodes\"", &Data { limit, episodes })
    )
}
