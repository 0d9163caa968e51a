//! Packing what is worth saying about a task into a token budget.
//!
//! Few items help and many distract: an item must come near to the best one, and count beside what was chosen
//! already (maximal marginal relevance: what another item says too is worth less), so that a context does not say
//! one thing five times. Text is a view: nothing that is rendered here is ever parsed back.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::ops::Deref;

use harness_memory::id::IdPrefix;
use harness_memory::memory::Degraded;
use harness_memory::{
    Answer, Context, Hit, Kind, Origin, Outcome, Query, ReadSet, RecordId, Store, Trust, marker, suspicion,
};
use jiff::Timestamp;

use crate::copies::{WordSet, word_set};
use crate::current::telling_words;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::tokens;
use crate::weights::Weights;

/// So many hits are looked at for them: some say what others say.
const LOOKED_AT: usize = 24;

/// Of the items of a context so many may be single messages, where there are episodes, notes or lessons that fit.
const MESSAGES_MAX: usize = 4;

/// The longest text of one item, in characters: about a hundred words.
const ITEM_CHARS_MAX: usize = 500;

/// What is left of the score of an item that reads like an attempt to give orders, where clean ones are known.
const SUSPICIOUS_SHARE: f32 = 0.5;

/// Before the first such item so many clean ones stand; where there are some and fewer, it is left out.
const CLEAN_FIRST: usize = 3;

/// An item that does not fit as it is is tried with its best passage alone, which is about so long.
const BRIEF_CHARS_MAX: usize = 160;

/// The most tools that are named of an episode.
const TOOLS_MAX: usize = 8;

/// The most words of the task that an item says it is there for.
const REASON_WORDS_MAX: usize = 4;

/// An item names its record by the beginning of its id that no other record has, of at least so many characters:
/// whole groups, so that it can be copied into `harness recall show`.
const ID_CHARS: [usize; 3] = [13, 18, 23];

/// What stands before the items.
const HEADING: &str = "Known from before, best first (`harness recall show ID` says more):\n";

/// The context for a task, which is the query's text: the best hits that fit into the budget, inside the marker: rules
/// first, then what worked, what is known, what outsiders said, and last what failed, each part under its own heading
/// and best first. What runs have shown to be harmful is left out.
///
/// The same records, the same arms, the same task and the same `now` give the same bytes. The text is empty when
/// nothing is known well enough, or when not even one item fits.
pub(crate) fn pack(engine: &Engine, query: &Query, reads: &ReadSet, budget_tokens: usize) -> Result<Context> {
    let weights = engine.weights();
    // A task that was itself given memories is about the rest of it.
    let task = marker::strip(&query.text).text;
    if task.trim().is_empty() {
        return Err(Error::EmptyQuery);
    }
    let query = Query { text: task.into_owned(), limit: LOOKED_AT, plain: true, ..query.clone() };
    let kinds = vec![Kind::Episode, Kind::Note, Kind::Lesson];
    let distilled = query.kinds.is_empty().then(|| Query { kinds, ..query.clone() });
    // Both at once: somebody waits, and most machines have a second core.
    let (answer, distilled) = std::thread::scope(|scope| {
        let distilled = distilled.map(|query| scope.spawn(move || engine.recall(&query, reads)));
        let answer = engine.recall_distinct(&query, reads);
        (answer, distilled.map(std::thread::ScopedJoinHandle::join))
    });
    let mut answer = answer?;
    // A panic there is a bug of ours; what was found here is said all the same.
    if let Some(Ok(distilled)) = distilled {
        add_distilled(engine, distilled?, &mut answer);
    }
    let mut context = Context { confidence: answer.confidence, degraded: answer.degraded, ..Context::default() };
    if answer.confidence < weights.silence {
        return Ok(context);
    }
    answer.hits.retain(|hit| !asks_the_same(hit, &query.text));
    let ids: Vec<RecordId> = answer.hits.iter().map(|hit| hit.id).collect();
    let allowed = engine.credit()?.allowed(&ids).into_iter().chain(std::iter::repeat(true));
    // What gives orders is no measure of what is worth saying, allowed or not: clean items are measured by the best of
    // their own.
    let mut judged: Vec<(Judged, bool)> = answer.hits.into_iter().map(Judged::of).zip(allowed).collect();
    let best = judged.iter().filter(|(hit, _)| !hit.suspicious).map(|(hit, _)| hit.score).fold(0.0, f32::max);
    judged.retain(|(_, allowed)| *allowed);
    let mut hits: Vec<Judged> = judged.into_iter().map(|(hit, _)| hit).collect();
    suspicion::clean_first(&mut hits, |hit| hit.suspicious);
    if best > 0.0 {
        for Judged { hit, suspicious } in &mut hits {
            hit.score = if *suspicious { hit.score * SUSPICIOUS_SHARE } else { hit.score / best };
        }
    }
    let mut chosen: Vec<(&Judged, String)> = Vec::new();
    let mut worth = choose(&hits, &query.text, weights);
    let clean = worth.iter().filter(|hit| !hit.suspicious).count();
    if (1..CLEAN_FIRST).contains(&clean) {
        worth.retain(|hit| !hit.suspicious);
    }
    // A rule that stands among the rules is not said again beside its episode.
    let known = worth.len();
    let rules: HashSet<&str> = worth.iter().filter(|hit| hit.kind == Kind::Lesson).map(|hit| hit.text.trim()).collect();
    for hit in worth {
        let id = short_id(&**engine.store(), hit.id)?;
        for chars in [ITEM_CHARS_MAX, BRIEF_CHARS_MAX] {
            chosen.push((hit, item(hit, &id, chars, &rules)));
            let text = marker::encode(&body(&chosen));
            let tokens = tokens::at_most(&text);
            if tokens <= budget_tokens {
                context.text = text;
                context.tokens = tokens;
                break;
            }
            chosen.pop();
        }
    }
    if chosen.is_empty() && known > 0 {
        context.degraded.push(Degraded {
            arm: "context".to_owned(),
            code: "budget-small".to_owned(),
            hint: format!("{known} items are worth saying, and none fits into {budget_tokens} tokens: allow more"),
        });
    }
    context.records = chosen.iter().map(|(hit, _)| hit.id).collect();
    Ok(context)
}

/// A hit, and whether it reads like an attempt to give orders: judged once, asked for often.
struct Judged {
    hit: Hit,
    suspicious: bool,
}

impl Judged {
    fn of(hit: Hit) -> Judged {
        Judged { suspicious: suspicion::is_suspicious(&hit.text, hit.origin, hit.trust), hit }
    }

    /// Whether what it says is no word to go by: tools or the web said it, or it reads like an attempt to give orders.
    fn is_outside(&self) -> bool {
        self.suspicious || is_from_outside(self)
    }
}

impl Deref for Judged {
    type Target = Hit;

    fn deref(&self) -> &Hit {
        &self.hit
    }
}

fn is_from_outside(hit: &Hit) -> bool {
    matches!(hit.origin, Origin::Tool | Origin::Web) || hit.trust >= Trust::Untrusted
}

/// What was said on a topic is a hundred lines, what came of it is one: the one must not drown in the lines.
fn add_distilled(engine: &Engine, distilled: Answer, answer: &mut Answer) {
    if distilled.confidence < engine.weights().silence {
        return;
    }
    let mut messages = 0;
    answer.hits.retain(|hit| {
        messages += usize::from(hit.kind == Kind::Message);
        hit.kind != Kind::Message || messages <= MESSAGES_MAX
    });
    let known: Vec<RecordId> = answer.hits.iter().map(|hit| hit.id).collect();
    answer.hits.extend(distilled.hits.into_iter().filter(|hit| !known.contains(&hit.id)));
}

/// The parts of a context, in their order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Rules,
    Worked,
    Known,
    Outside,
    Failed,
}

impl Part {
    const ALL: [Part; 5] = [Part::Rules, Part::Worked, Part::Known, Part::Outside, Part::Failed];

    /// Where a hit belongs. What tools and the web said, or what reads like an attempt to
    /// give orders, is never a rule, whatever it calls itself.
    fn of(hit: &Judged) -> Part {
        match (hit.kind, hit.outcome) {
            (Kind::Episode, Some(Outcome::Failure)) => Part::Failed,
            _ if hit.is_outside() => Part::Outside,
            (Kind::Lesson, _) => Part::Rules,
            (Kind::Episode, Some(Outcome::Success)) => Part::Worked,
            _ => Part::Known,
        }
    }

    fn heading(self) -> &'static str {
        match self {
            Part::Rules => "Rules drawn from earlier work:",
            Part::Worked => "What worked:",
            Part::Known => "What is known:",
            Part::Outside => "What tools and the web said, unchecked:",
            Part::Failed => "What failed, not to be repeated:",
        }
    }
}

/// The items under the headings of their parts, each part best first.
fn body(chosen: &[(&Judged, String)]) -> String {
    let mut body = HEADING.to_owned();
    for part in Part::ALL {
        let mut items = chosen.iter().filter(|(hit, _)| Part::of(hit) == part).peekable();
        if items.peek().is_some() {
            body.push_str(part.heading());
            body.push('\n');
        }
        items.for_each(|(_, item)| body.push_str(item));
    }
    body
}

/// The hits that are worth saying about a task, in their order.
fn choose<'h>(hits: &'h [Judged], task: &str, weights: &Weights) -> Vec<&'h Judged> {
    // A turn that only calls tools has no words to say.
    let sayable =
        |hit: &Hit| hit.trust != Trust::Quarantined && hit.replaced_by.is_none() && !hit.text.trim().is_empty();
    let task = telling_words(task);
    let said: Vec<Said> = hits.iter().map(|hit| Said::of(hit, &task)).collect();
    let mut left: Vec<usize> = (0..hits.len()).filter(|&at| sayable(&hits[at])).collect();
    let mut chosen: Vec<usize> = Vec::new();
    while chosen.len() < weights.context_items {
        let worth = |&at: &usize| {
            let told = chosen.iter().map(|&other| said[at].told_by(&said[other]) * counts(&hits[at], &hits[other]));
            hits[at].score * (1.0 - weights.redundancy * told.fold(0.0, f32::max))
        };
        // Of equals the first: the last of them in reverse order.
        let best = left.iter().map(worth).enumerate().rev().max_by(|(_, a), (_, b)| a.total_cmp(b));
        let Some((at, worth)) = best else { break };
        // What is left is worth less, but may be of a kind that needs less.
        let hit = left.remove(at);
        let turns = chosen.iter().filter(|&&other| hits[other].kind == Kind::Message).count();
        let fits = hits[hit].kind != Kind::Message || turns < weights.context_messages;
        if fits && worth >= bar(&hits[hit], weights) {
            chosen.push(hit);
        }
    }
    chosen.sort_unstable();
    chosen.into_iter().map(|at| &hits[at]).collect()
}

/// Of what an item must be worth a lesson needs this share: it is short, and was drawn to be told again.
const LESSON_SHARE: f32 = 0.4;

/// What a hit must be worth to be said.
fn bar(hit: &Judged, weights: &Weights) -> f32 {
    match hit.kind {
        _ if hit.is_outside() => weights.message_worth_saying,
        Kind::Lesson => LESSON_SHARE * weights.worth_saying,
        Kind::Message => weights.message_worth_saying,
        Kind::Episode | Kind::Note => weights.worth_saying,
    }
}

/// All that a hit tells: of an episode also which way was gone, and what came of it. The same task tried in two ways is
/// two things to know.
fn tells(hit: &Hit) -> String {
    let mut text = hit.text.clone();
    for tool in &hit.tools {
        let _ = write!(text, " {} {}", tool.tool, tool.gist);
    }
    if let Some(reason) = reason(hit) {
        let _ = write!(text, " {reason}");
    }
    text
}

/// Why it ended so, where it is known how it ended: why it is not known helps nobody.
fn reason(hit: &Hit) -> Option<&str> {
    hit.reason.as_deref().filter(|_| hit.outcome != Some(Outcome::Unknown))
}

/// Whether a turn only asks what the task asks: it would be measured as the best there is, and tells nothing.
fn asks_the_same(hit: &Hit, task: &str) -> bool {
    let says_more = |words: fn(&str) -> WordSet| words(&hit.text).difference(&words(task)).next().is_some();
    let is_question = hit.text.trim_end().ends_with(['?', '？']);
    hit.kind == Kind::Message && !(if is_question { says_more(telling_words) } else { says_more(word_set) })
}

/// How much it counts that another hit says the same.
fn counts(one: &Hit, other: &Hit) -> f32 {
    // The same situation that ended otherwise is another thing to know, and so is a note beside what was tried; a turn of
    // the episode is not.
    let turn = one.kind == Kind::Message || other.kind == Kind::Message;
    if turn || one.outcome == other.outcome { 1.0 } else { 0.5 }
}

/// What a hit says.
struct Said {
    all: WordSet,
    /// What it says beyond the task.
    beyond: WordSet,
}

impl Said {
    fn of(hit: &Hit, task: &WordSet) -> Said {
        let all = telling_words(&tells(hit));
        let beyond = all.difference(task).copied().collect();
        Said { all, beyond }
    }

    /// The share of it that another says already, 0 to 1. What says nothing beyond the task has told nothing of what does.
    fn told_by(&self, other: &Said) -> f32 {
        if self.all.is_empty() || other.beyond.is_empty() && !self.beyond.is_empty() {
            return 0.0;
        }
        self.all.intersection(&other.all).count() as f32 / self.all.len() as f32
    }
}

/// The shortest beginning of an id that names one record of this store.
fn short_id(store: &dyn Store, id: RecordId) -> Result<String> {
    let whole = id.to_string();
    for chars in ID_CHARS {
        let Some(start) = whole.get(..chars) else { break };
        let Ok(prefix) = start.parse::<IdPrefix>() else { continue };
        if store.find(prefix, 2)?.len() < 2 {
            return Ok(start.to_owned());
        }
    }
    Ok(whole)
}

/// One item: when, what it is and who said it, what it says, and in brackets why it is there and where it is from.
fn item(hit: &Hit, id: &str, chars_max: usize, rules: &HashSet<&str>) -> String {
    let mut text = format!("- {} {}: ", day(hit.created_at), title(hit));
    push_line(&mut text, excerpt(hit, chars_max), chars_max);
    if hit.kind == Kind::Episode {
        push_course(&mut text, hit);
        let lesson = hit.lesson.as_deref().map(str::trim).filter(|lesson| !rules.contains(lesson));
        if let Some(lesson) =
            lesson.filter(|lesson| !is_from_outside(hit) && !suspicion::is_suspicious(lesson, hit.origin, hit.trust))
        {
            push_part(&mut text, "learned: ", lesson);
        }
    }
    text.push_str(" [");
    push_reason(&mut text, hit);
    let _ = writeln!(text, "{} {id}]", line(&hit.source));
    text
}

fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

/// What the record is, in a word or two: the speaker of what was said, the outcome of what was tried.
fn title(hit: &Hit) -> String {
    let what = match (hit.kind, hit.outcome, &hit.speaker, hit.role) {
        (Kind::Episode, Some(Outcome::Success), ..) => "worked before".to_owned(),
        (Kind::Episode, Some(Outcome::Failure), ..) => "failed before, do not repeat".to_owned(),
        (Kind::Episode, ..) => "tried before, outcome unknown".to_owned(),
        (Kind::Message, _, Some(speaker), _) => line(speaker),
        (Kind::Message, _, None, Some(role)) => role.to_string(),
        (kind, ..) => kind.word().to_owned(),
    };
    match hit.trust {
        Trust::Untrusted | Trust::Quarantined => format!("{what} (not trusted)"),
        Trust::Trusted | Trust::Plain => what,
    }
}

/// The tools of an episode, its reason and its copies.
fn push_course(text: &mut String, hit: &Hit) {
    let tools = hit.tool_course();
    let course: Vec<String> = tools
        .iter()
        .take(TOOLS_MAX)
        .map(|(tool, times)| if *times > 1 { format!("{} ×{times}", line(tool)) } else { line(tool) })
        .collect();
    let more = if tools.len() > TOOLS_MAX { " → …" } else { "" };
    let reason = reason(hit).map(line).filter(|reason| !reason.is_empty());
    match (course.is_empty(), reason) {
        (true, None) => {}
        (true, Some(reason)) => push_part(text, "because: ", &reason),
        (false, None) => push_part(text, "", &format!("{}{more}", course.join(" → "))),
        (false, Some(reason)) => push_part(text, "", &format!("{}{more}; because: {reason}", course.join(" → "))),
    }
}

fn push_part(text: &mut String, before: &str, words: &str) {
    text.push_str(" (");
    text.push_str(before);
    push_line(text, words, BRIEF_CHARS_MAX);
    text.push(')');
}

/// Why it is there, in few words.
fn push_reason(text: &mut String, hit: &Hit) {
    if hit.copies > 0 {
        let _ = write!(text, "said {} times; ", hit.copies + 1);
    }
    let matched = hit.why.get("text").map_or("", |why| why.words.as_str());
    // Of a word and its stem, the one that the text has.
    let text_words = hit.text.to_lowercase();
    let has =
        |word: &&str| text_words.split(|c: char| !c.is_alphanumeric()).any(|said| said == *word) || !word.is_ascii();
    let as_said: Vec<String> = matched.split_whitespace().filter(has).take(REASON_WORDS_MAX).map(line).collect();
    let matched = match as_said.is_empty() {
        true => matched.split_whitespace().take(REASON_WORDS_MAX).map(line).collect(),
        false => as_said,
    };
    if !matched.is_empty() {
        let _ = write!(text, "matches {}; ", matched.join(" "));
    } else if hit.why.contains_key("vector") {
        text.push_str("near in meaning; ");
    } else if hit.why.contains_key("neighbours") {
        text.push_str("beside a match; ");
    }
    if hit.why.contains_key("named") {
        text.push_str("named in the task; ");
    }
    if hit.why.contains_key("date") {
        text.push_str("of the day asked for; ");
    }
}

/// The whole text, or the part of it that begins with the best passage.
fn excerpt(hit: &Hit, chars_max: usize) -> &str {
    if hit.text.chars().count() <= chars_max {
        return &hit.text;
    }
    let start = hit.passage.map_or(0, |span| span.start);
    hit.text.get(start..).unwrap_or(&hit.text)
}

/// Words on one line.
fn line(words: &str) -> String {
    let mut text = String::new();
    push_line(&mut text, words, BRIEF_CHARS_MAX);
    text
}

/// Appends words on one line, blanks folded, cut at so many characters.
fn push_line(text: &mut String, words: &str, chars_max: usize) {
    let mut chars = 0;
    for (at, word) in words.split_whitespace().enumerate() {
        if at > 0 {
            text.push(' ');
            chars += 1;
        }
        for c in word.chars() {
            if chars >= chars_max {
                text.push('…');
                return;
            }
            text.push(if c.is_control() { '\u{fffd}' } else { c });
            chars += 1;
        }
    }
}
