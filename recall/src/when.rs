//! When a question asks about: the days it names, in English, Chinese, Japanese and Korean, relative to a clock.
//!
//! A day that is named is a preference and never a filter: what happened on it is often told on another. A date
//! without a year is the last one that has come; weeks begin on Monday; days are those of UTC, as records are dated.

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

    /// About so long ago: a day for days, a week for weeks, a month for months, a year for years.
    fn ago(today: Date, number: i64, unit: Unit) -> Option<Days> {
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
    fn past(today: Date, number: i64, unit: Unit) -> Option<Days> {
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

    /// Both, and what lies between them.
    fn to(self, other: Days) -> Days {
        Days { first: self.first.min(other.first), until: self.until.max(other.until) }
    }

    fn is_one_day(self) -> bool {
        self.first.tomorrow().is_ok_and(|next| next == self.until)
    }

    pub(crate) fn since(self) -> Option<Timestamp> {
        Some(self.first.to_zoned(TimeZone::UTC).ok()?.timestamp())
    }

    pub(crate) fn until(self) -> Option<Timestamp> {
        Some(self.until.to_zoned(TimeZone::UTC).ok()?.timestamp())
    }

    fn has(self, at: Timestamp) -> bool {
        let day = at.to_zoned(TimeZone::UTC).date();
        self.first <= day && day < self.until
    }

    /// As records spell their own day in the text index, so that a search within these days finds them all.
    pub(crate) fn spelled(self) -> String {
        let (first, last) = (self.first, self.until.yesterday().unwrap_or(self.first));
        let mut words = format!("{} {}年{}月", first.strftime("%B %Y"), first.year(), first.month());
        if self.is_one_day() {
            words.push_str(&format!(" {} {}日 {}号", first.day(), first.day(), first.day()));
        } else if (first.year(), first.month()) != (last.year(), last.month()) {
            words.push_str(&format!(" {} {}年{}月", last.strftime("%B %Y"), last.year(), last.month()));
        }
        words
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

/// Days with the place in the text that names them, in bytes.
struct Named {
    place: std::ops::Range<usize>,
    days: Days,
}

/// The days that a question names, in its order; empty when it names none, or too many.
pub(crate) fn days(question: &str, now: Timestamp) -> Vec<Days> {
    let today = now.to_zoned(TimeZone::UTC).date();
    let text: String = question.chars().map(half_width).collect();
    let mut named = han::find(&text, today);
    let taken = |place: &std::ops::Range<usize>| {
        named.iter().any(|known| known.place.start < place.end && place.start < known.place.end)
    };
    let english: Vec<Named> = english::find(&text, today).into_iter().filter(|found| !taken(&found.place)).collect();
    named.extend(english);
    named.sort_by_key(|named| named.place.start);
    let mut days: Vec<Days> = Vec::new();
    let mut end = 0;
    for named in named {
        if let Some(last) = days.last_mut()
            && joins(&text[..end], &text[end..named.place.start])
        {
            *last = last.to(named.days);
        } else if !days.contains(&named.days) {
            days.push(named.days);
        }
        end = named.place.end;
    }
    if days.len() > SPANS_MAX { Vec::new() } else { days }
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
pub(crate) fn prefer(ranked: &mut [Ranked], days: &[Days], weights: &Weights) {
    for hit in ranked {
        if let Some(days) = days.iter().find(|days| days.has(hit.stored.record.created_at)) {
            hit.add("date", 1.0, weights.date, format!("it is of {days}, which the question names"));
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
        days(question, "2023-05-10T12:00:00Z".parse().unwrap()).iter().map(Days::to_string).collect()
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
