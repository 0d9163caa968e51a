//! When a question asks about: the days it names, in English, Chinese, Japanese and Korean, relative to a clock.
//!
//! A day that is named is a preference: what happened on it is often told on another. Only where a question has no
//! other subject (`what did we do yesterday`) is it answered with the records of the day, if there are any. A date
//! without a year is the last one that has come; a time that has not come names no day, and neither does one that comes
//! often (`next Monday`, `每周三`); weeks begin on Monday; days begin at midnight in the time zone of who asks.

mod asking;
mod english;
mod han;

use harness_memory::Kind;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};

use crate::ranked::Ranked;
use crate::weights::Weights;

/// The most spans of one question that are looked at: more is a text about dates, and prefers none.
const SPANS_MAX: usize = 4;

/// Days that a question names, from the first to before the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Days {
    pub(crate) first: Date,
    pub(crate) until: Date,
}

impl Days {
    /// One day.
    fn one(day: Date) -> Option<Days> {
        Days::new(day, day.tomorrow().ok()?)
    }

    fn new(first: Date, until: Date) -> Option<Days> {
        (first < until).then_some(Days { first, until })
    }

    /// The day so many days before this one.
    fn before(today: Date, days: i64) -> Option<Days> {
        Days::one(back(today, Span::new().try_days(days).ok()?)?)
    }

    /// The week, from Monday, so many weeks before this day's.
    fn week(today: Date, weeks: i64) -> Option<Days> {
        let days = i64::from(today.weekday().to_monday_zero_offset()) + 7 * weeks;
        let monday = back(today, Span::new().try_days(days).ok()?)?;
        Days::new(monday, ahead(monday, 7)?)
    }

    /// The weekday (0 is Monday) of the week so many weeks before this day's.
    fn weekday(today: Date, weeks: i64, weekday: i64) -> Option<Days> {
        Days::one(ahead(Days::week(today, weeks)?.first, weekday)?)
    }

    /// The last such weekday (0 is Monday) that has come, today included.
    fn last_weekday(today: Date, weekday: i64) -> Option<Days> {
        let passed = (i64::from(today.weekday().to_monday_zero_offset()) - weekday).rem_euclid(7);
        Days::before(today, passed)
    }

    /// Saturday and Sunday of the week so many weeks before this day's.
    fn weekend(today: Date, weeks: i64) -> Option<Days> {
        let monday = Days::week(today, weeks)?.first;
        Days::new(ahead(monday, 5)?, ahead(monday, 7)?)
    }

    /// The month so many months before this day's.
    fn month_before(today: Date, months: i64) -> Option<Days> {
        let first = back(today.first_of_month(), Span::new().try_months(months).ok()?)?;
        Days::month(first.year(), first.month())
    }

    fn month(year: i16, month: i8) -> Option<Days> {
        let first = Date::new(year, month, 1).ok()?;
        Days::new(first, first.last_of_month().tomorrow().ok()?)
    }

    fn year(year: i16) -> Option<Days> {
        Days::new(Date::new(year, 1, 1).ok()?, Date::new(year.checked_add(1)?, 1, 1).ok()?)
    }

    /// Saturday and Sunday of the last weekend that has begun.
    fn last_weekend(today: Date) -> Option<Days> {
        let saturday = Days::last_weekday(today, 5)?.first;
        Days::new(saturday, ahead(saturday, 2)?)
    }

    /// About so long ago: a day for days, a week for weeks, a month for months, a year for years; a few of them are a
    /// longer time.
    fn ago(today: Date, count: Count, unit: Unit) -> Option<Days> {
        let number = match count {
            Count::Exactly(number) => number,
            Count::Few => {
                let (least, most) = FEW;
                return Some(Days::ago(today, Count::Exactly(most), unit)?.to(Days::ago(
                    today,
                    Count::Exactly(least),
                    unit,
                )?));
            }
        };
        match unit {
            Unit::Day => Days::before(today, number),
            Unit::Week => {
                let day = back(today, Span::new().try_weeks(number).ok()?)?;
                Days::new(back(day, Span::new().days(3))?, ahead(day, 4)?)
            }
            Unit::Month => Days::month_before(today, number),
            Unit::Year => Days::year(today.year().checked_sub(i16::try_from(number).ok()?)?),
        }
    }

    /// From so long ago until today.
    fn past(today: Date, count: Count, unit: Unit) -> Option<Days> {
        let number = match count {
            Count::Exactly(number) => number,
            Count::Few => FEW.1,
        };
        let span = match unit {
            Unit::Day => Span::new().try_days(number),
            Unit::Week => Span::new().try_weeks(number),
            Unit::Month => Span::new().try_months(number),
            Unit::Year => Span::new().try_years(number),
        };
        Days::new(back(today, span.ok()?)?, today.tomorrow().ok()?)
    }

    /// A day of a month; where the year is not said, the last one that has come.
    fn date(today: Date, year: Option<i16>, month: i8, day: i8) -> Option<Days> {
        if let Some(year) = year {
            return Days::one(Date::new(year, month, day).ok()?);
        }
        // The 29th of February may lie some years back.
        let years = (0..8).filter_map(|passed| Date::new(today.year() - passed, month, day).ok());
        years.into_iter().find(|date| *date <= today).and_then(Days::one)
    }

    /// A month; where the year is not said, the last one that has begun.
    fn month_of(today: Date, year: Option<i16>, month: i8) -> Option<Days> {
        Days::month(year.unwrap_or(if month > today.month() { today.year() - 1 } else { today.year() }), month)
    }

    /// A day of the month that has come last.
    fn day_of_month(today: Date, day: i8) -> Option<Days> {
        let months = (0..3).filter_map(|passed| Days::month_before(today, passed));
        let dates = months.filter_map(|month| Date::new(month.first.year(), month.first.month(), day).ok());
        dates.into_iter().find(|date| *date <= today).and_then(Days::one)
    }

    /// A part of these days, which are a month.
    fn part(self, part: Part) -> Option<Days> {
        let (tenth, twentieth) = (ahead(self.first, 10)?, ahead(self.first, 20)?);
        match part {
            Part::Early => Days::new(self.first, tenth),
            Part::Middle => Days::new(tenth, twentieth),
            Part::Late => Days::new(twentieth, self.until),
        }
    }

    /// Both, and what lies between them.
    fn to(self, other: Days) -> Days {
        Days { first: self.first.min(other.first), until: self.until.max(other.until) }
    }
}

impl std::fmt::Display for Days {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.until.yesterday() {
            Ok(last) if last != self.first => write!(f, "{} to {last}", self.first),
            _ => write!(f, "{}", self.first),
        }
    }
}

/// `A few` are so many, at least and at most.
const FEW: (i64, i64) = (2, 7);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Count {
    Exactly(i64),
    Few,
}

/// A part of a month: its first ten days, the next ten, the rest.
#[derive(Clone, Copy)]
enum Part {
    Early,
    Middle,
    Late,
}

#[derive(Clone, Copy)]
enum Unit {
    Day,
    Week,
    Month,
    Year,
}

fn back(day: Date, span: Span) -> Option<Date> {
    day.checked_sub(span).ok()
}

fn ahead(day: Date, days: i64) -> Option<Date> {
    day.checked_add(Span::new().try_days(days).ok()?).ok()
}

/// What a place in the text names, in bytes: days, or a time without any.
struct Named {
    place: std::ops::Range<usize>,
    days: Option<Days>,
}

/// Days as time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Period {
    days: Days,
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
}

impl Period {
    fn new(days: Days, zone: &TimeZone) -> Option<Period> {
        let begins = |day: Date| zone.to_ambiguous_timestamp(day.at(0, 0, 0, 0)).compatible().ok();
        Some(Period { days, since: begins(days.first)?, until: begins(days.until)? })
    }

    fn has(&self, at: Timestamp) -> bool {
        self.since <= at && at < self.until
    }

    /// Words that the text index has of what was said in these days: records have their year in it, in UTC.
    pub(crate) fn spelled(&self) -> String {
        let year = |at: Timestamp| at.to_zoned(TimeZone::UTC).year();
        let (first, last) = (year(self.since), year(self.until));
        let years: Vec<String> = (first..=last).take(SPELLED_YEARS_MAX).map(|year| year.to_string()).collect();
        years.join(" ")
    }

    pub(crate) fn words(&self) -> String {
        format!("it is of {}, which the question names", self.days)
    }
}

/// Nobody asks for the records of more years than this with no other word.
const SPELLED_YEARS_MAX: usize = 20;

/// A question as it is read for the days in it.
#[derive(Debug, PartialEq)]
pub(crate) struct Dated {
    /// The days that it names, in its order; empty when it names none, or too many.
    pub(crate) periods: Vec<Period>,
    /// The question without the words that name them; `None` where that is all of it.
    rest: Option<String>,
    /// Whether it asks what was in those days, and nothing else.
    pub(crate) only_days: bool,
}

impl Dated {
    /// What is searched for: a question for days without the words that name them, which a record of another day may have.
    /// Beside another subject they stay, for a text that is about a year has it in words. XQuAD, CMRC, DRCD, JSQuAD, full
    /// text, without and with them: MRR .4 to .8 points apart, 5.4 where half of the questions are of a year.
    pub(crate) fn searched<'q>(&'q self, question: &'q str) -> &'q str {
        let rest = self.rest.as_deref().filter(|rest| self.only_days && !rest.trim().is_empty());
        rest.unwrap_or(question)
    }

    /// The period that has this time.
    pub(crate) fn of(&self, at: Timestamp) -> Option<&Period> {
        self.periods.iter().find(|period| period.has(at))
    }
}

/// Reads the days that a question names. Where signs in it are operators (`plain` is false), a question that has such
/// signs keeps all its words.
pub(crate) fn read(question: &str, now: Timestamp, zone: &TimeZone, plain: bool) -> Dated {
    let today = now.to_zoned(zone.clone()).date();
    let text: String = question.chars().map(half_width).collect();
    let (days, places) = days(&text, today);
    let periods: Vec<Period> = days.into_iter().filter_map(|days| Period::new(days, zone)).collect();
    if periods.is_empty() {
        return Dated { periods, rest: None, only_days: false };
    }
    let operators = !plain && (text.contains('"') || text.starts_with('-') || text.contains(" -"));
    let mut rest = String::new();
    let mut end = 0;
    for place in places.into_iter().filter(|place| !operators && !is_in_name(&text, place)) {
        rest.push_str(&text[end..place.start]);
        rest.push(' ');
        end = place.end;
    }
    rest.push_str(&text[end..]);
    let only_days = asking::only_asks(&rest);
    Dated { periods, rest: (end > 0).then_some(rest), only_days }
}

/// Whether what stands here is a part of a name: `backup-2023-05-02.tar`.
fn is_in_name(text: &str, place: &std::ops::Range<usize>) -> bool {
    let joins = |c: char| "-_./\\".contains(c);
    let before = text[..place.start].strip_suffix(joins);
    let after = text[place.end..].strip_prefix(joins);
    before.is_some_and(|before| before.ends_with(|c: char| c.is_ascii_alphanumeric()))
        || after.is_some_and(|after| after.starts_with(|c: char| c.is_ascii_alphanumeric()))
}

/// The days that a text of half-width characters names on a day, in its order, and the places of their words. No days
/// when it names none, or too many.
fn days(text: &str, today: Date) -> (Vec<Days>, Vec<std::ops::Range<usize>>) {
    let mut named = han::find(text, today);
    let taken = |place: &std::ops::Range<usize>| {
        named.iter().any(|known| known.place.start < place.end && place.start < known.place.end)
    };
    let english: Vec<Named> = english::find(text, today).into_iter().filter(|found| !taken(&found.place)).collect();
    named.extend(english);
    named.sort_by_key(|named| named.place.start);
    let mut days: Vec<Days> = Vec::new();
    let mut places: Vec<std::ops::Range<usize>> = Vec::new();
    for named in named {
        // What has not come has no records.
        let Some(found) = named.days.filter(|days| days.first <= today) else { continue };
        let end = places.last().map_or(0, |place| place.end);
        if let (Some(last), Some(place)) = (days.last_mut(), places.last_mut())
            && joins(&text[..end], &text[end..named.place.start])
        {
            *last = last.to(found);
            place.end = named.place.end;
            continue;
        }
        if !days.contains(&found) {
            days.push(found);
        }
        places.push(named.place);
    }
    if days.len() > SPANS_MAX {
        return (Vec::new(), Vec::new());
    }
    // `since Monday`, `周一以来`, `月曜日から`: until today.
    if let ([only], [place]) = (&mut days[..], &mut places[..])
        && let Some(words) = since(text, place)
        && let Ok(tomorrow) = today.tomorrow()
    {
        only.until = only.until.max(tomorrow);
        *place = words;
    }
    (days, places)
}

/// The place of a day with the words that make it the beginning of a time.
fn since(text: &str, place: &std::ops::Range<usize>) -> Option<std::ops::Range<usize>> {
    const AFTER: [&str; 9] = ["以来", "以來", "以降", "至今", "から", "부터", "이후", "到现在", "到現在"];
    let (before, after) = (text[..place.start].trim_end(), &text[place.end..]);
    let lower = before.to_ascii_lowercase();
    if lower.ends_with("since") && !lower[..lower.len() - 5].ends_with(|c: char| c.is_alphanumeric()) {
        return Some(before.len() - 5..place.end);
    }
    let skipped = after.len() - after.trim_start().len();
    let sign = AFTER.iter().find(|sign| after[skipped..].starts_with(**sign))?;
    Some(place.start..place.end + skipped + sign.len())
}

/// Full-width digits and signs as people type them in East Asian texts. Lengths in bytes change; places count in
/// the text that this makes.
fn half_width(c: char) -> char {
    match c {
        '！'..='～' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
        '\u{3000}' => ' ',
        c => c,
    }
}

/// Whether what stands between two dates makes one span of them.
fn joins(before: &str, between: &str) -> bool {
    let word = between.trim().to_lowercase();
    match word.as_str() {
        "to" | "until" | "till" | "through" | "-" | "–" | "—" | "~" | "〜" | "到" | "至" | "から" | "부터" => {
            true
        }
        "and" | "和" | "与" => ["between", "之间"].iter().any(|sign| before.to_lowercase().contains(sign)),
        _ => false,
    }
}

/// Prefers records of the days that the question names.
pub(crate) fn prefer(ranked: &mut [Ranked], dated: &Dated, weights: &Weights) {
    for hit in ranked {
        if let Some(period) = dated.of(hit.stored.record.created_at) {
            hit.add("date", 1.0, weights.date, period.words());
        }
    }
}

/// A mild prior for what is newer, with a half-life for each kind.
pub(crate) fn prefer_recent(ranked: &mut [Ranked], now: Timestamp, weights: &Weights) {
    for hit in ranked {
        let record = &hit.stored.record;
        let half_life = match record.kind() {
            Kind::Message => weights.half_life_days.message,
            Kind::Episode => weights.half_life_days.episode,
            Kind::Note => weights.half_life_days.note,
            Kind::Lesson => weights.half_life_days.lesson,
        };
        let age = now.duration_since(record.created_at).max(SignedDuration::ZERO).as_secs_f32() / 86_400.0;
        let freshness = (-age / half_life.max(f32::MIN_POSITIVE)).exp2();
        let words = match age as u64 {
            0 => "it is of today".to_owned(),
            1 => "it is a day old".to_owned(),
            days => format!("it is {days} days old"),
        };
        hit.add("recency", freshness, weights.recency, words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a question names on Wednesday, 10 May 2023.
    fn named(question: &str) -> Vec<String> {
        named_on(question, "2023-05-10T12:00:00Z")
    }

    fn named_on(question: &str, now: &str) -> Vec<String> {
        let dated = read(question, now.parse().unwrap(), &TimeZone::UTC, true);
        dated.periods.iter().map(|period| period.days.to_string()).collect()
    }

    #[test]
    fn days_are_understood_in_english() {
        for (question, expected) in [
            ("What did I do on 2 May?", "2023-05-02"),
            ("what happened on May 2nd, 2022", "2022-05-02"),
            ("on the 2nd of May", "2023-05-02"),
            ("on 12 December", "2022-12-12"),
            ("what did we decide on 2023-05-02?", "2023-05-02"),
            ("in March 2023", "2023-03-01 to 2023-03-31"),
            ("last March", "2023-03-01 to 2023-03-31"),
            ("in July", "2022-07-01 to 2022-07-31"),
            ("in may", "2023-05-01 to 2023-05-31"),
            ("in 2021", "2021-01-01 to 2021-12-31"),
            ("What broke yesterday?", "2023-05-09"),
            ("the day before yesterday", "2023-05-08"),
            ("last week", "2023-05-01 to 2023-05-07"),
            ("this week", "2023-05-08 to 2023-05-14"),
            ("last weekend", "2023-05-06 to 2023-05-07"),
            ("last month", "2023-04-01 to 2023-04-30"),
            ("on Monday", "2023-05-08"),
            ("last Wednesday", "2023-05-03"),
            ("three days ago", "2023-05-07"),
            ("2 weeks ago", "2023-04-23 to 2023-04-29"),
            ("in the last 3 days", "2023-05-07 to 2023-05-10"),
            ("between 2 May and 5 May", "2023-05-02 to 2023-05-05"),
            ("from May 2 to May 5", "2023-05-02 to 2023-05-05"),
        ] {
            assert_eq!(named(question), [expected], "{question}");
        }
        for feast in ["Does the French office work on Whit Monday?", "what did Ana cook for Good Friday"] {
            assert_eq!(named(feast), [""; 0], "{feast}");
        }
        assert_eq!(named("Meeting Last Monday"), ["2023-05-08"], "a heading has capitals, too");
    }

    #[test]
    fn days_are_understood_in_chinese_japanese_and_korean() {
        for (question, expected) in [
            ("五月二号我做了什么", "2023-05-02"),
            ("我在5月2号买了什么", "2023-05-02"),
            ("５月２日", "2023-05-02"),
            ("二〇二二年十二月三十一日", "2022-12-31"),
            ("2022年5月", "2022-05-01 to 2022-05-31"),
            ("去年五月二号", "2022-05-02"),
            ("昨天聊了什么", "2023-05-09"),
            ("前天", "2023-05-08"),
            ("上周我们讨论了什么", "2023-05-01 to 2023-05-07"),
            ("上周三", "2023-05-03"),
            ("周一说的那个", "2023-05-08"),
            ("上个月", "2023-04-01 to 2023-04-30"),
            ("上个月5号", "2023-04-05"),
            ("三天前", "2023-05-07"),
            ("2号我去了哪里", "2023-05-02"),
            ("5月1号到5月3号", "2023-05-01 to 2023-05-03"),
            ("最近三天", "2023-05-07 to 2023-05-10"),
            ("先週何を話した", "2023-05-01 to 2023-05-07"),
            ("先週の水曜日", "2023-05-03"),
            ("5月2日に何をした", "2023-05-02"),
            ("2週間前", "2023-04-23 to 2023-04-29"),
            ("昨日の会議", "2023-05-09"),
            ("先月", "2023-04-01 to 2023-04-30"),
            ("지난주에 뭐 했지", "2023-05-01 to 2023-05-07"),
            ("5월 2일", "2023-05-02"),
        ] {
            assert_eq!(named(question), [expected], "{question}");
        }
    }

    /// What is named on Sunday, 29 November 2026; `-` is nothing.
    const TABLE: &str = "
上周三 | 2026-11-18
上上周三 | 2026-11-11
上上星期三 | 2026-11-11
上上个星期 | 2026-11-09 to 2026-11-15
上个周末 | 2026-11-21 to 2026-11-22
上周末 | 2026-11-21 to 2026-11-22
周末 | 2026-11-28 to 2026-11-29
5月2号 | 2026-05-02
五月二号 | 2026-05-02
5/2 | 2026-05-02
5月初 | 2026-05-01 to 2026-05-10
上个月底 | 2026-10-21 to 2026-10-31
前两天 | 2026-11-27 to 2026-11-29
两周前 | 2026-11-12 to 2026-11-18
半个月前 | 2026-11-14
大前天 | 2026-11-26
前天 | 2026-11-27
2026年11月18日 | 2026-11-18
26年11月18日 | 2026-11-18
11.18 | -
11-18 | -
上周日 | 2026-11-22
星期日 | 2026-11-29
星期天 | 2026-11-29
周天 | 2026-11-29
礼拜三 | 2026-11-25
这周三 | 2026-11-25
本周一 | 2026-11-23
一周前 | 2026-11-19 to 2026-11-25
1号服务器 | -
2号方案 | -
3号机房 | -
5号集群 | -
第2号员工 | -
2号库 | -
15号文件 | -
周日志 | -
每周三例会 | -
双周六 | -
今年 | 2026-01-01 to 2026-12-31
国庆 | -
昨日 | 2026-11-28
一昨日 | 2026-11-27
先週の水曜日 | 2026-11-18
先々週 | 2026-11-09 to 2026-11-15
先週末 | 2026-11-21 to 2026-11-22
先週の金曜 | 2026-11-20
今週の月曜 | 2026-11-23
3日前 | 2026-11-26
三日前 | 2026-11-26
5月2日 | 2026-05-02
５月２日 | 2026-05-02
二週間前 | 2026-11-12 to 2026-11-18
1ヶ月前 | 2026-10-01 to 2026-10-31
先月の5日 | 2026-10-05
昨年の12月 | 2025-12-01 to 2025-12-31
月曜日 | 2026-11-23
おとといの夜 | 2026-11-27
この間 | -
最近 | -
last Tuesday | 2026-11-24
Tuesday last week | 2026-11-17
Tuesday of last week | 2026-11-17
last week on Tuesday | 2026-11-17
last week Tuesday | 2026-11-17
the week before last | 2026-11-09 to 2026-11-15
two weeks ago | 2026-11-12 to 2026-11-18
a week ago | 2026-11-19 to 2026-11-25
a couple of days ago | 2026-11-27
a few days ago | 2026-11-22 to 2026-11-27
the other day | -
yesterday morning | 2026-11-28
2 May | 2026-05-02
May 2nd | 2026-05-02
May 2 | 2026-05-02
5/2 | 2026-05-02
05/02/2026 | 2026-05-02
2026-05-02 | 2026-05-02
2026-05-02T10:00:00Z | 2026-05-02
20260502 | 2026-05-02
Nov 18 | 2026-11-18
last month | 2026-10-01 to 2026-10-31
early November | 2026-11-01 to 2026-11-10
last quarter | -
since Monday | 2026-11-23 to 2026-11-29
since last week | 2026-11-16 to 2026-11-29
this Friday | 2026-11-27
next Monday | -
on Tues | 2026-11-24
over the weekend | 2026-11-28 to 2026-11-29
last night | 2026-11-28
지난주 | 2026-11-16 to 2026-11-22
지난 주 | 2026-11-16 to 2026-11-22
지지난주 | 2026-11-09 to 2026-11-15
이번 주 | 2026-11-23 to 2026-11-29
이번 달 | 2026-11-01 to 2026-11-30
지난 달 | 2026-10-01 to 2026-10-31
지난주 수요일 | 2026-11-18
지난 수요일 | 2026-11-25
어제 | 2026-11-28
그제 | 2026-11-27
엊그제 | 2026-11-27
3일 전 | 2026-11-26
5월 2일 | 2026-05-02
2주 전 | 2026-11-12 to 2026-11-18
2주일 전 | 2026-11-12 to 2026-11-18
한 달 전 | 2026-10-01 to 2026-10-31
월요일 | 2026-11-23
작년 12월 | 2025-12-01 to 2025-12-31
下周一 | -
下星期三 | -
明天 | -
明日 | -
来週の月曜日 | -
다음 주 월요일 | -
다음주 | -
next week | -
next Tuesday | -
上上个周末 | 2026-11-14 to 2026-11-15
上個週末 | 2026-11-21 to 2026-11-22
这个周末 | 2026-11-28 to 2026-11-29
上上個禮拜 | 2026-11-09 to 2026-11-15
上上禮拜五 | 2026-11-13
上个周三 | 2026-11-18
上週五的會 | 2026-11-20
上个星期的星期三 | 2026-11-18
上周的三个会议 | 2026-11-16 to 2026-11-22
上周三个会议讨论了什么 | 2026-11-16 to 2026-11-22
上周三三点的会 | 2026-11-18
上周三天都在下雨 | 2026-11-16 to 2026-11-22
早上周会说了什么 | -
上周期的预算 | -
这个星期一 | 2026-11-23
這禮拜二 | 2026-11-24
上上个月 | 2026-09-01 to 2026-09-30
上個月5號 | 2026-10-05
上个月的5号 | 2026-10-05
本月3号 | 2026-11-03
这个月初 | 2026-11-01 to 2026-11-10
10月中旬 | 2026-10-11 to 2026-10-20
去年12月 | 2025-12-01 to 2025-12-31
去年的12月3号 | 2025-12-03
去年今天 | 2025-11-29
大前年 | 2023-01-01 to 2023-12-31
前三天 | 2026-11-26 to 2026-11-29
前几天 | 2026-11-22 to 2026-11-29
这两天 | 2026-11-27 to 2026-11-29
近一周 | 2026-11-22 to 2026-11-29
最近一次部署 | -
目前三天的进度 | -
几天前 | 2026-11-22 to 2026-11-27
三天前端同学说的 | -
兩個禮拜前 | 2026-11-12 to 2026-11-18
半年前 | 2026-05-01 to 2026-05-31
两个月前 | 2026-09-01 to 2026-09-30
一周三次 | -
两周一次的会 | -
隔周五的例会 | -
每个星期三 | -
每月5号 | -
每週三 | -
周日程 | -
周三例会 | 2026-11-25
周六日都在忙 | 2026-11-28
2号 | 2026-11-02
2号下午干了什么 | 2026-11-02
2 号我去了哪里 | 2026-11-02
1號伺服器 | -
方案2号 | -
下下周 | -
下个月5号 | -
下個星期三 | -
后天 | -
明年3月 | -
大后天 | -
周一以来 | 2026-11-23 to 2026-11-29
上周到昨天 | 2026-11-16 to 2026-11-28
5 月 2 号 | 2026-05-02
5/2 我做了什么 | 2026-05-02
昨儿 | 2026-11-28
昨晚 | 2026-11-28
民國115年5月2日 | 2026-05-02
先週末に何をした | 2026-11-21 to 2026-11-22
今週末 | 2026-11-28 to 2026-11-29
週末は何をした | 2026-11-28 to 2026-11-29
先先週の月曜日 | 2026-11-09
先々月 | 2026-09-01 to 2026-09-30
先月末 | 2026-10-21 to 2026-10-31
10月下旬 | 2026-10-21 to 2026-10-31
一昨年 | 2024-01-01 to 2024-12-31
さきおととい | 2026-11-26
きのうは何をした | 2026-11-28
それはきのうの話 | 2026-11-28
やきのうどん | -
べんきょう | -
2日に何をした | 2026-11-02
2日に1回のバックアップ | -
2日間の作業 | -
数日前 | 2026-11-22 to 2026-11-27
半年前の設計 | 2026-05-01 to 2026-05-31
この3日間 | 2026-11-26 to 2026-11-29
直近1週間 | 2026-11-22 to 2026-11-29
月曜日から | 2026-11-23 to 2026-11-29
5月1日から5月3日 | 2026-05-01 to 2026-05-03
毎週の月曜日 | -
毎月曜日 | -
毎月5日 | -
次の月曜日 | -
来月の5日 | -
再来週 | -
明後日 | -
令和8年5月2日 | 2026-05-02
5/2に決めたこと | 2026-05-02
지난주 금요일 회의 | 2026-11-20
지난 주 수요일 | 2026-11-18
저번 주 | 2026-11-16 to 2026-11-22
저번주 수요일에 | 2026-11-18
지지난 주 | 2026-11-09 to 2026-11-15
지난 주말 | 2026-11-21 to 2026-11-22
이번 주말 | 2026-11-28 to 2026-11-29
주말에 뭐 했지 | 2026-11-28 to 2026-11-29
이번 주 월요일 | 2026-11-23
이번주 | 2026-11-23 to 2026-11-29
지난 주문 내역 | -
이번 주제 | -
지지난달 | 2026-09-01 to 2026-09-30
지난달 5일 | 2026-10-05
이번달 | 2026-11-01 to 2026-11-30
그저께 | 2026-11-27
그제야 알았다 | -
어젯밤 | 2026-11-28
일주일 전 | 2026-11-19 to 2026-11-25
이틀 전 | 2026-11-27
사흘 전에 | 2026-11-26
며칠 전 | 2026-11-22 to 2026-11-27
두 달 전 | 2026-09-01 to 2026-09-30
한달 전 | 2026-10-01 to 2026-10-31
1년 전 | 2025-01-01 to 2025-12-31
몇 주 전 | 2026-10-08 to 2026-11-18
보름 전 | 2026-11-14
지난 3일 | 2026-11-26 to 2026-11-29
최근 일주일 | 2026-11-22 to 2026-11-29
작년 5월 2일 | 2025-05-02
재작년 | 2024-01-01 to 2024-12-31
올해 5월 | 2026-05-01 to 2026-05-31
5월 초 | 2026-05-01 to 2026-05-10
지난달 말에 | 2026-10-21 to 2026-10-31
2일에 뭐 했어 | 2026-11-02
월요일부터 | 2026-11-23 to 2026-11-29
매주 월요일 | -
매월 5일 | -
다음주 월요일 | -
다음 월요일 | -
다음 달 5일 | -
다다음 주 | -
내일 | -
모레 | -
내년 3월 | -
Tuesday of the week before last | 2026-11-10
last week's Tuesday | 2026-11-17
the Tuesday before last | 2026-11-17
the weekend before last | 2026-11-14 to 2026-11-15
the month before last | 2026-09-01 to 2026-09-30
the night before last | 2026-11-27
couple of weeks ago | 2026-11-12 to 2026-11-18
several weeks ago | 2026-10-08 to 2026-11-18
half a year ago | 2026-05-01 to 2026-05-31
a fortnight ago | 2026-11-12 to 2026-11-18
in the last few days | 2026-11-22 to 2026-11-29
over the past couple of days | 2026-11-27 to 2026-11-29
this past weekend | 2026-11-28 to 2026-11-29
on the weekend | 2026-11-28 to 2026-11-29
weekend plans | -
mid-November | 2026-11-11 to 2026-11-20
late October 2025 | 2025-10-21 to 2025-10-31
at the end of last month | 2026-10-21 to 2026-10-31
at the beginning of May | 2026-05-01 to 2026-05-10
on the 18th | 2026-11-18
on the 2nd attempt | -
what did we do on 5/2? | 2026-05-02
25/11/2026 | 2026-11-25
24/7 support | -
1/2 of the users | -
step 2/5 failed | -
since March | 2026-03-01 to 2026-11-29
since 2 May | 2026-05-02 to 2026-11-29
on Fri | 2026-11-27
sun and sat | -
next week on Monday | -
Monday next week | -
the Monday after next | -
every Monday | -
every other Friday | -
the coming weekend | -
next month | -
next March | -
tomorrow | -
on 2027-05-02 | -
build 12345678 | -
2026-05-02 10:00 | 2026-05-02
2026-05-02T10:00:00+08:00 why | 2026-05-02
";

    #[test]
    fn days_are_understood_as_people_name_them() {
        let mut wrong = Vec::new();
        for (question, expected) in TABLE.lines().filter_map(|line| line.split_once(" | ")) {
            let named = named_on(question, "2026-11-29T12:00:00Z").join(" + ");
            let named = if named.is_empty() { "-" } else { &named };
            if named != expected.trim() {
                wrong.push(format!("{question}: {named}, expected {expected}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn what_is_no_date_names_no_day() {
        for question in [
            "may I use version 2.3.1?",
            "this may break the march of the tests",
            "error 2003 on port 5432",
            "每周跑三次测试",
            "3号楼在哪里",
            "5个月的合同",
            "毎週の予定",
            "一周之内的安排",
            "second day of the sprint",
            "",
        ] {
            assert_eq!(named(question), [""; 0], "{question}");
        }
        let many = "1 May, 2 May, 3 May, 4 May, 5 May";
        assert_eq!(named(many), [""; 0], "a text about dates asks for none of them");
    }
}
