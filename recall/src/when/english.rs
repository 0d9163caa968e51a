//! Days as English names them.

use std::ops::Range;

use jiff::civil::Date;

use super::{Count, Days, Named, Part, Unit};

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// Short forms of weekdays that are no other word.
const SHORT_WEEKDAYS: [(&str, i64); 5] = [("tues", 1), ("weds", 2), ("thur", 3), ("thurs", 3), ("tue", 1)];

const NUMBERS: [&str; 13] =
    ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];

/// Words before a month or a year that make one of `May`, `March` and `2023`.
const BEFORE_MONTHS: [&str; 13] =
    ["in", "during", "of", "last", "this", "since", "by", "early", "late", "mid", "until", "from", "through"];

/// Words before a day, which make a date of `5/2` and a weekday of `Fri`.
const BEFORE_DAYS: [&str; 13] =
    ["on", "since", "from", "until", "till", "by", "before", "after", "of", "last", "this", "between", "and"];

/// Words that put what follows into the future, or make it come again and again.
const NOT_PAST: [&str; 8] = ["next", "every", "each", "coming", "upcoming", "following", "alternate", "any"];

/// A word or number of the text, folded.
struct Token {
    word: String,
    place: Range<usize>,
    /// Whether it was written with a capital.
    capital: bool,
}

struct Tokens<'t> {
    text: &'t str,
    all: Vec<Token>,
    today: Date,
}

/// What tokens name, and how many of them do. No days: a time that has not come, or comes often.
type Found = Option<(Option<Days>, usize)>;

pub(super) fn find(text: &str, today: Date) -> Vec<Named> {
    let tokens = Tokens { text, all: tokens(text), today };
    let mut named = Vec::new();
    let mut at = 0;
    while at < tokens.all.len() {
        match tokens.days(at) {
            Some((days, used)) => {
                let place = tokens.all[at].place.start..tokens.all[at + used - 1].place.end;
                named.push(Named { place, days });
                at += used;
            }
            None => at += 1,
        }
    }
    named
}

fn tokens(text: &str) -> Vec<Token> {
    let mut all: Vec<Token> = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (c.is_ascii_alphanumeric(), start) {
            (true, None) => start = Some(at),
            (false, Some(first)) => {
                let word = &text[first..at];
                let capital = word.starts_with(|c: char| c.is_ascii_uppercase());
                all.push(Token { word: word.to_ascii_lowercase(), place: first..at, capital });
                start = None;
            }
            _ => {}
        }
    }
    all
}

impl Tokens<'_> {
    fn word(&self, at: usize) -> &str {
        self.all.get(at).map_or("", |token| &token.word)
    }

    /// The words from a token on are these.
    fn are(&self, at: usize, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(place, word)| self.word(at + place) == *word)
    }

    /// The word before a token.
    fn before(&self, at: usize) -> &str {
        at.checked_sub(1).map_or("", |before| self.word(before))
    }

    fn is_capital(&self, at: usize) -> bool {
        self.all.get(at).is_some_and(|token| token.capital)
    }

    /// The sign between a token and the next, where nothing else stands there.
    fn sign(&self, at: usize) -> Option<&str> {
        let (one, next) = (self.all.get(at)?, self.all.get(at + 1)?);
        Some(&self.text[one.place.end..next.place.start])
    }

    /// The days that start at this token, and how many tokens name them.
    fn days(&self, at: usize) -> Found {
        self.numeric(at)
            .or_else(|| self.slashed(at))
            .or_else(|| self.not_past(at))
            .or_else(|| self.date(at))
            .or_else(|| self.part(at))
            .or_else(|| self.month(at))
            .or_else(|| self.day_alone(at))
            .or_else(|| self.period(at))
            .or_else(|| self.weekday_of(at))
            .or_else(|| self.counted(at))
            .or_else(|| {
                let year = self.year(at).filter(|_| BEFORE_MONTHS.contains(&self.before(at)))?;
                Some((Days::year(year), 1))
            })
    }

    /// `2023-05-02`, `2023/5/2`, `2023-05`, `2023-05-02T10:00:00Z`, `20230502`.
    fn numeric(&self, at: usize) -> Found {
        if let Some(day) = self.compact(at) {
            return Some((Some(day), 1));
        }
        let year = self.year(at)?;
        let sign = self.sign(at).filter(|sign| matches!(*sign, "-" | "/" | "."))?;
        let month = self.number(at + 1).filter(|month| (1..=12).contains(month))?;
        if self.sign(at + 1) == Some(sign) {
            // The clock of a timestamp stands beside the day.
            let (day, clock) = self.word(at + 2).split_once('t').unwrap_or((self.word(at + 2), ""));
            if let Some(day) = day.parse::<i8>().ok().filter(|day| (1..=31).contains(day) && is_digits(clock)) {
                let clock = if clock.is_empty() { 0 } else { self.clock(at + 2) };
                return Some((Days::date(self.today, Some(year), month as i8, day), 3 + clock));
            }
        }
        (sign != ".").then_some(())?;
        Some((Days::month(year, month as i8), 2))
    }

    /// How many tokens go on with the clock that began in this one: `:00:00.000Z`, `:00+08:00`.
    fn clock(&self, at: usize) -> usize {
        let signs = [":", ".", "+", "-"];
        (at..).take_while(|&at| self.sign(at).is_some_and(|sign| signs.contains(&sign))).count()
    }

    /// `20230502`, standing alone: within a name it is part of the name.
    fn compact(&self, at: usize) -> Option<Days> {
        let token = self.all.get(at).filter(|token| token.word.len() == 8 && is_digits(&token.word))?;
        let joined = |c: char| "-_./\\#".contains(c);
        let (before, after) = (&self.text[..token.place.start], &self.text[token.place.end..]);
        (!before.ends_with(joined) && !after.starts_with(['-', '_', '/', '\\'])).then_some(())?;
        let number = |range: Range<usize>| token.word[range].parse::<i16>().ok();
        let year = number(0..4).filter(|year| (1900..2100).contains(year))?;
        Days::date(self.today, Some(year), number(4..6)? as i8, number(6..8)? as i8)
    }

    /// `05/02/2026`, and `on 5/2`, where the month stands first unless it cannot.
    fn slashed(&self, at: usize) -> Found {
        let (one, other) = (self.number(at)?, self.number(at + 1)?);
        (self.sign(at) == Some("/") && self.word(at).len() <= 2).then_some(())?;
        let before = &self.text[..self.all[at].place.start];
        (!before.ends_with(['/', '.', '-', '_', '[', '(', '#'])).then_some(())?;
        let (month, day) = if one > 12 { (other, one) } else { (one, other) };
        let (month, day) = (i8::try_from(month).ok()?, i8::try_from(day).ok()?);
        if self.sign(at + 1) == Some("/") {
            let year = self.year(at + 2)?;
            return Some((Some(Days::date(self.today, Some(year), month, day)?), 3));
        }
        // `1/2 of the users`, `24/7`, `step 3/5`: two numbers are a date where one is asked for.
        let after = &self.text[self.all[at + 1].place.end..];
        let next = after.chars().next().unwrap_or(' ');
        let introduced = before.trim().is_empty() || BEFORE_DAYS.contains(&self.before(at)) && before.ends_with(' ');
        let said = introduced && (next == ' ' || next.is_ascii_punctuation() && !"/.-_%".contains(next));
        let asked = !next.is_ascii() && "にのは的我你他她那这這早上下前后後以를에은".contains(next);
        let spoken = !before.ends_with(|c: char| c.is_ascii_alphanumeric()) && asked;
        ((said && self.word(at + 2) != "of" || spoken) && one <= 12).then_some(())?;
        Some((Some(Days::date(self.today, None, month, day)?), 2))
    }

    /// `next Monday`, `every week`, `the coming weekend`: no day.
    fn not_past(&self, at: usize) -> Found {
        NOT_PAST.contains(&self.word(at)).then_some(())?;
        let what = self.word(at + 1);
        let other = usize::from(what == "other" && self.word(at) == "every");
        let what = self.word(at + 1 + other);
        let named = ["week", "month", "year", "weekend", "day"].contains(&what)
            || self.weekday(at + 1 + other).is_some()
            || self.month_name(at + 1 + other).is_some();
        // `next week on Monday`
        let on = usize::from(self.word(at + 2 + other) == "on");
        let day = self.weekday(at + 2 + other + on).map_or(0, |_| on + 1);
        named.then_some((None, 2 + other + day))
    }

    /// `2 May 2023`, `the 2nd of May`, `May 2nd, 2023`.
    fn date(&self, at: usize) -> Found {
        let (month, day, mut used) = if let Some(day) = self.day(at) {
            let of = usize::from(self.word(at + 1) == "of");
            (self.month_name(at + 1 + of)?, day, 2 + of)
        } else {
            let month = self.month_name(at)?;
            let the = usize::from(self.word(at + 1) == "the");
            (month, self.day(at + 1 + the)?, 2 + the)
        };
        let year = self.year(at + used);
        used += usize::from(year.is_some());
        Some((Some(Days::date(self.today, year, month, day)?), used))
    }

    /// `early November`, `mid-May 2022`, `at the end of last month`.
    fn part(&self, at: usize) -> Found {
        let (part, of) = match self.word(at) {
            "early" => (Part::Early, 0),
            "mid" => (Part::Middle, 0),
            "late" => (Part::Late, 0),
            "beginning" | "start" => (Part::Early, 1),
            "middle" => (Part::Middle, 1),
            "end" => (Part::Late, 1),
            _ => return None,
        };
        (of == 0 || self.word(at + 1) == "of").then_some(())?;
        let at = at + 1 + of;
        if let Some(month) = self.month_name(at) {
            let year = self.year(at + 1);
            let days = Days::month_of(self.today, year, month)?;
            return Some((days.part(part), 2 + of + usize::from(year.is_some())));
        }
        let months = match (self.word(at), self.word(at + 1)) {
            ("last" | "previous", "month") => 1,
            ("this", "month") => 0,
            _ => return None,
        };
        Some((Days::month_before(self.today, months)?.part(part), 3 + of))
    }

    /// `March 2023`, `in March`, `last March`.
    fn month(&self, at: usize) -> Found {
        let month = self.month_name(at)?;
        if let Some(year) = self.year(at + 1) {
            return Some((Days::month(year, month), 2));
        }
        self.is_meant(at).then_some(())?;
        Some((Days::month_of(self.today, None, month), 1))
    }

    /// `on the 18th`, where nothing is counted.
    fn day_alone(&self, at: usize) -> Found {
        let word = self.word(at);
        let ordinal =
            word.starts_with(|c: char| c.is_ascii_digit()) && word.ends_with(|c: char| c.is_ascii_alphabetic());
        let on = at.checked_sub(2).map_or("", |on| self.word(on));
        (ordinal && self.before(at) == "the" && ["on", "since", "from", "until"].contains(&on)).then_some(())?;
        let after = self.text[self.all[at].place.end..].trim_start();
        (!after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-')).then_some(())?;
        Some((Days::day_of_month(self.today, self.day(at)?), 1))
    }

    /// `yesterday`, `last week`, `the week before last`, `over the weekend`, `last week on Tuesday`.
    fn period(&self, at: usize) -> Found {
        let today = self.today;
        let (word, next) = (self.word(at), self.word(at + 1));
        let (days, used) = match (word, next) {
            ("yesterday", _) => (Days::before(today, 1), 1),
            ("today" | "tonight", _) => (Days::before(today, 0), 1),
            ("this", "morning" | "afternoon" | "evening") => (Days::before(today, 0), 2),
            ("last", "night" | "evening") => (Days::before(today, 1), 2),
            ("day", "before") if self.word(at + 2) == "yesterday" => (Days::before(today, 2), 3),
            ("night" | "evening", "before") if self.word(at + 2) == "last" => (Days::before(today, 2), 3),
            ("week", "before") if self.word(at + 2) == "last" => return self.week(at, 2, 3),
            ("month", "before") if self.word(at + 2) == "last" => (Days::month_before(today, 2), 3),
            ("year", "before") if self.word(at + 2) == "last" => (Days::year(today.year() - 2), 3),
            ("weekend", "before") if self.word(at + 2) == "last" => (Days::weekend(today, 2), 3),
            ("last" | "previous", "week") => return self.week(at, 1, 2),
            ("this", "week") => return self.week(at, 0, 2),
            ("last" | "previous", "month") => (Days::month_before(today, 1), 2),
            ("this", "month") => (Days::month_before(today, 0), 2),
            ("last" | "previous", "year") => (Days::year(today.year() - 1), 2),
            ("this", "year") => (Days::year(today.year()), 2),
            ("last" | "previous", "weekend") => (Days::weekend(today, 1), 2),
            ("this", "weekend") => (Days::weekend(today, 0), 2),
            ("past", "weekend") => (Days::last_weekend(today), 2),
            ("the", "weekend") if ["over", "on", "at", "during"].contains(&self.before(at)) => {
                (Days::last_weekend(today), 2)
            }
            ("past", "week") => (Days::past(today, Count::Exactly(7), Unit::Day), 2),
            ("past", "month") => (Days::past(today, Count::Exactly(1), Unit::Month), 2),
            ("past", "year") => (Days::past(today, Count::Exactly(1), Unit::Year), 2),
            ("fortnight", "ago") => (Days::ago(today, Count::Exactly(2), Unit::Week), 2),
            _ => return None,
        };
        Some((days, used))
    }

    /// A week that so many tokens name, or the weekday of it that follows them: `last week on Tuesday`.
    fn week(&self, at: usize, weeks: i64, used: usize) -> Found {
        let next = at + used;
        let owner = usize::from(self.word(next) == "s" && self.sign(next - 1).is_some_and(|sign| sign != " "));
        let on = usize::from(self.word(next + owner) == "on");
        match self.weekday(next + owner + on) {
            Some(day) => Some((Days::weekday(self.today, weeks, day), used + owner + on + 1)),
            None => Some((Days::week(self.today, weeks), used)),
        }
    }

    /// `on Monday`, `last Monday`, `this Friday`, `Tuesday of last week`, `the Tuesday before last`.
    fn weekday_of(&self, at: usize) -> Found {
        let yesterday = self.today.yesterday().ok()?;
        // `last Monday` is said of the one that has passed, whether it was this week's or the last one's.
        match self.word(at) {
            "last" | "past" => {
                let day = self.weekday(at + 1)?;
                return Some((Days::last_weekday(yesterday, day), 2));
            }
            "this" => {
                let day = self.weekday(at + 1)?;
                return Some((Days::weekday(self.today, 0, day), 2));
            }
            _ => {}
        }
        let day = self.weekday(at).filter(|_| !self.is_feast(at))?;
        if self.are(at + 1, &["before", "last"]) {
            let last = Days::last_weekday(yesterday, day)?.first;
            return Some((Days::before(last, 7), 3));
        }
        if self.are(at + 1, &["after", "next"]) {
            return Some((None, 3));
        }
        let of = usize::from(self.word(at + 1) == "of");
        let the = of + usize::from(self.word(at + 1 + of) == "the");
        let (weeks, used) = match (self.word(at + 1 + of), self.word(at + 2 + of)) {
            ("last" | "previous", "week") => (1, 3 + of),
            ("this", "week") => (0, 3 + of),
            ("next", "week") => return Some((None, 3 + of)),
            _ if self.are(at + 1 + the, &["week", "before", "last"]) => (2, 4 + the),
            _ => return Some((Days::last_weekday(self.today, day), 1)),
        };
        Some((Days::weekday(self.today, weeks, day), used))
    }

    /// `in the last three days`, `3 weeks ago`, `a couple of months ago`, `half a year ago`.
    fn counted(&self, at: usize) -> Found {
        if matches!(self.word(at), "last" | "past" | "previous")
            && let Some((count, unit, used)) = self.span(at + 1)
        {
            return Some((Days::past(self.today, count, unit), 1 + used));
        }
        let (count, unit, used) = self.span(at)?;
        matches!(self.word(at + used), "ago" | "back").then_some(())?;
        Some((Days::ago(self.today, count, unit), used + 1))
    }

    /// A length of time, and how many tokens it has.
    fn span(&self, at: usize) -> Option<(Count, Unit, usize)> {
        if self.word(at) == "half" && self.word(at + 1) == "a" {
            let (count, unit) = match self.word(at + 2) {
                "month" => (15, Unit::Day),
                "year" => (6, Unit::Month),
                _ => return None,
            };
            return Some((Count::Exactly(count), unit, 3));
        }
        let article = usize::from(matches!(self.word(at), "a" | "the") && self.unit(at + 1).is_none());
        let (count, used) = match self.word(at + article) {
            "couple" => (Count::Exactly(2), 1 + usize::from(self.word(at + article + 1) == "of")),
            "few" | "several" => (Count::Few, 1),
            "a" | "an" => (Count::Exactly(1), 1),
            _ => (Count::Exactly(self.count(at + article)?), 1),
        };
        let used = article + used;
        Some((count, self.unit(at + used)?, used + 1))
    }

    /// Whether a weekday is the end of a name: `on Whit Monday`, `before Good Friday`. The first word of a question has a
    /// capital, too, and so have words that introduce a day in a heading.
    fn is_feast(&self, at: usize) -> bool {
        let introduces = |word: &str| BEFORE_MONTHS.contains(&word) || word == "on" || NOT_PAST.contains(&word);
        at > 1
            && self.is_capital(at)
            && self.is_capital(at - 1)
            && self.sign(at - 1) == Some(" ")
            && !introduces(self.word(at - 1))
            && !["week", "s"].contains(&self.word(at - 1))
    }

    fn number(&self, at: usize) -> Option<i64> {
        self.word(at).parse().ok().filter(|number| (0..10_000).contains(number))
    }

    fn count(&self, at: usize) -> Option<i64> {
        let word = self.word(at);
        let named = || NUMBERS.iter().position(|number| *number == word).map(|number| number as i64);
        self.number(at).or_else(named)
    }

    fn unit(&self, at: usize) -> Option<Unit> {
        match self.word(at).trim_end_matches('s') {
            "day" => Some(Unit::Day),
            "week" => Some(Unit::Week),
            "month" => Some(Unit::Month),
            "year" => Some(Unit::Year),
            _ => None,
        }
    }

    fn year(&self, at: usize) -> Option<i16> {
        let year = self.word(at);
        (year.len() == 4).then(|| year.parse().ok()).flatten().filter(|year| (1900..2100).contains(year))
    }

    /// `2`, `2nd`.
    fn day(&self, at: usize) -> Option<i8> {
        let word = self.word(at);
        let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        matches!(&word[digits.len()..], "" | "st" | "nd" | "rd" | "th").then_some(())?;
        digits.parse().ok().filter(|day| (1..=31).contains(day))
    }

    /// 0 is Monday. Short forms that are other words, too, want a capital and a word before them.
    fn weekday(&self, at: usize) -> Option<i64> {
        let word = self.word(at);
        let whole = WEEKDAYS.iter().position(|day| *day == word).map(|day| day as i64);
        let short = || SHORT_WEEKDAYS.iter().find(|(short, _)| *short == word).map(|(_, day)| *day);
        let introduced = || {
            let before = self.before(at);
            let meant = self.is_capital(at) && (BEFORE_DAYS.contains(&before) || NOT_PAST.contains(&before));
            let of = || WEEKDAYS.iter().position(|day| word.len() == 3 && day.starts_with(word));
            meant.then(of).flatten().map(|day| day as i64)
        };
        whole.or_else(short).or_else(introduced)
    }

    /// A month by its name or the first letters of it.
    fn month_name(&self, at: usize) -> Option<i8> {
        let word = self.word(at);
        let short = word.len() == 3 || word == "sept";
        let found = MONTHS.iter().position(|month| *month == word || short && month.starts_with(word))?;
        Some(found as i8 + 1)
    }

    /// Whether a month without a day or a year is meant as one: `may` and `march` are other words too, and so are
    /// most short forms.
    fn is_meant(&self, at: usize) -> bool {
        let (word, before) = (self.word(at), self.before(at));
        let introduced = BEFORE_MONTHS.contains(&before);
        match word {
            "may" | "march" => introduced && (self.is_capital(at) || before == "in"),
            _ if word.len() == 3 => introduced && self.is_capital(at),
            _ => introduced || self.is_capital(at),
        }
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}
