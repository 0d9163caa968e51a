//! Days as Chinese, Japanese and Korean name them.

use jiff::civil::Date;

use super::{Days, Named, Unit};

/// Words for days, most of them longer than what they begin with: the first that fits is taken.
const WORDS: &[(&str, Word)] = &[
    ("大前天", Word::Days(3)),
    ("前天", Word::Days(2)),
    ("一昨日", Word::Days(2)),
    ("おととい", Word::Days(2)),
    ("그저께", Word::Days(2)),
    ("昨天", Word::Days(1)),
    ("昨日", Word::Days(1)),
    ("昨晚", Word::Days(1)),
    ("昨夜", Word::Days(1)),
    ("昨晩", Word::Days(1)),
    ("きのう", Word::Days(1)),
    ("어제", Word::Days(1)),
    ("今天", Word::Days(0)),
    ("今日", Word::Days(0)),
    ("今早", Word::Days(0)),
    ("今朝", Word::Days(0)),
    ("今晚", Word::Days(0)),
    ("今晩", Word::Days(0)),
    ("きょう", Word::Days(0)),
    ("오늘", Word::Days(0)),
    ("上上个月", Word::Months(2)),
    ("上上個月", Word::Months(2)),
    ("先々月", Word::Months(2)),
    ("上个月", Word::Months(1)),
    ("上個月", Word::Months(1)),
    ("上月", Word::Months(1)),
    ("先月", Word::Months(1)),
    ("지난달", Word::Months(1)),
    ("这个月", Word::Months(0)),
    ("這個月", Word::Months(0)),
    ("本月", Word::Months(0)),
    ("今月", Word::Months(0)),
    ("이번달", Word::Months(0)),
    ("上上周", Word::Weeks(2)),
    ("上上週", Word::Weeks(2)),
    ("先々週", Word::Weeks(2)),
    ("上个星期", Word::Weeks(1)),
    ("上個星期", Word::Weeks(1)),
    ("上个礼拜", Word::Weeks(1)),
    ("上個禮拜", Word::Weeks(1)),
    ("上星期", Word::Weeks(1)),
    ("上礼拜", Word::Weeks(1)),
    ("上禮拜", Word::Weeks(1)),
    ("上周", Word::Weeks(1)),
    ("上週", Word::Weeks(1)),
    ("先週", Word::Weeks(1)),
    ("지난주", Word::Weeks(1)),
    ("这个星期", Word::Weeks(0)),
    ("這個星期", Word::Weeks(0)),
    ("这星期", Word::Weeks(0)),
    ("这周", Word::Weeks(0)),
    ("這週", Word::Weeks(0)),
    ("本周", Word::Weeks(0)),
    ("本週", Word::Weeks(0)),
    ("今週", Word::Weeks(0)),
    ("이번주", Word::Weeks(0)),
    ("星期", Word::Weeks(0)),
    ("礼拜", Word::Weeks(0)),
    ("周", Word::Weeks(0)),
    ("週", Word::Weeks(0)),
    ("前年", Word::Years(2)),
    ("一昨年", Word::Years(2)),
    ("おととし", Word::Years(2)),
    ("去年", Word::Years(1)),
    ("昨年", Word::Years(1)),
    ("작년", Word::Years(1)),
    ("今年", Word::Years(0)),
    ("올해", Word::Years(0)),
];

#[derive(Clone, Copy)]
enum Word {
    Days(i64),
    Weeks(i64),
    Months(i64),
    Years(i64),
}

/// Weeks by these words alone are no span; with a weekday after them they are a day of this week.
const BARE_WEEKS: [&str; 4] = ["星期", "礼拜", "周", "週"];

/// A text from a place on.
struct Rest<'t> {
    text: &'t str,
    today: Date,
    /// Whether a digit stands right before: then what follows is no number of its own.
    in_number: bool,
}

pub(super) fn find(text: &str, today: Date) -> Vec<Named> {
    let mut named = Vec::new();
    let mut end = 0;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let rest = Rest { text: &text[at..], today, in_number: is_digit(before) };
        before = c;
        if at < end || c.is_ascii() && !c.is_ascii_digit() {
            continue;
        }
        if let Some((days, bytes)) = rest.days() {
            end = at + bytes;
            named.push(Named { place: at..end, days });
        }
    }
    named
}

impl Rest<'_> {
    fn days(&self) -> Option<(Days, usize)> {
        self.worded().or_else(|| self.weekday_alone()).or_else(|| self.counted()).or_else(|| self.past()).or_else(
            || match self.in_number {
                true => None,
                false => self.ago().or_else(|| self.date()),
            },
        )
    }

    /// `昨天`, `先週の水曜日`, `上个月5号`, `去年五月二号`.
    fn worded(&self) -> Option<(Days, usize)> {
        let (word, what) = WORDS.iter().find(|(word, _)| self.text.starts_with(word))?;
        let bytes = word.len();
        let after = Rest { text: &self.text[bytes..], today: self.today, in_number: false };
        let skipped = if after.text.starts_with('の') { 'の'.len_utf8() } else { 0 };
        let after = Rest { text: &after.text[skipped..], ..after };
        match *what {
            Word::Days(days) => Some((Days::before(self.today, days)?, bytes)),
            Word::Weeks(weeks) => {
                if let Some((weekday, used)) = after.weekday() {
                    let bare = BARE_WEEKS.contains(word);
                    let days = match bare {
                        true => Days::last_weekday(self.today, weekday)?,
                        false => Days::weekday(self.today, weeks, weekday)?,
                    };
                    return Some((days, bytes + skipped + used));
                }
                if let Some(used) = starts(after.text, &["周末", "週末", "末"]) {
                    return Some((Days::weekend(self.today, weeks)?, bytes + skipped + used));
                }
                (!BARE_WEEKS.contains(word)).then_some(())?;
                Some((Days::week(self.today, weeks)?, bytes))
            }
            Word::Months(months) => {
                let month = Days::month_before(self.today, months)?;
                if let Some((day, used)) = number(after.text)
                    && let Some(sign) = starts(&after.text[used..], &["日", "号", "號"])
                {
                    let date = (month.first.year(), month.first.month(), i8::try_from(day).ok()?);
                    let days = Days::date(self.today, Some(date.0), date.1, date.2)?;
                    return Some((days, bytes + skipped + used + sign));
                }
                Some((month, bytes))
            }
            Word::Years(years) => {
                let year = self.today.year().checked_sub(i16::try_from(years).ok()?)?;
                match after.month_and_day(Some(year)) {
                    Some((days, used)) => Some((days, bytes + skipped + used)),
                    None => Some((Days::year(year)?, bytes)),
                }
            }
        }
    }

    /// `水曜日`, `월요일`.
    fn weekday_alone(&self) -> Option<(Days, usize)> {
        let (at, c) = self.text.char_indices().next()?;
        let weekday = "月火水木金土日".chars().position(|day| day == c);
        let korean = "월화수목금토일".chars().position(|day| day == c);
        let after = &self.text[at + c.len_utf8()..];
        let used = match (weekday, korean) {
            (Some(_), _) => starts(after, &["曜日", "曜"])?,
            (_, Some(_)) => starts(after, &["요일"])?,
            _ => return None,
        };
        Some((Days::last_weekday(self.today, weekday.or(korean)? as i64)?, c.len_utf8() + used))
    }

    /// After a word for a week: `三`, `日`, `水曜日`.
    fn weekday(&self) -> Option<(i64, usize)> {
        let c = self.text.chars().next()?;
        let after = &self.text[c.len_utf8()..];
        if let Some(used) = starts(after, &["曜日", "曜", "요일"]) {
            let days = ["月월", "火화", "水수", "木목", "金금", "土토", "日일"];
            let weekday = days.iter().position(|day| day.contains(c))?;
            return Some((weekday as i64, c.len_utf8() + used));
        }
        let weekday = match c {
            '天' => 6,
            c => "一二三四五六日".chars().position(|day| day == c)?,
        };
        Some((weekday as i64, c.len_utf8()))
    }

    /// `最近三天`, `过去两周`.
    fn past(&self) -> Option<(Days, usize)> {
        let lead = starts(self.text, &["最近", "过去", "過去の", "過去", "ここ", "최근", "지난"])?;
        let after = self.text[lead..].trim_start();
        let lead = self.text.len() - after.len();
        let (count, used) = number(after)?;
        let (unit, sign) = unit(&after[used..])?;
        Some((Days::past(self.today, count, unit)?, lead + used + sign))
    }

    /// `三天前`, `2週間前`, `3 개월 전`.
    fn ago(&self) -> Option<(Days, usize)> {
        let (count, used) = number(self.text)?;
        let spaces = |text: &str| text.len() - text.trim_start().len();
        let used = used + spaces(&self.text[used..]);
        let (unit, sign) = unit(&self.text[used..])?;
        let used = used + sign + spaces(&self.text[used + sign..]);
        let before = starts(&self.text[used..], &["前", "以前", "之前", "전"])?;
        Some((Days::ago(self.today, count, unit)?, used + before))
    }

    /// `2023年5月2日`, `五月二号`, `5月`, `2号`.
    fn date(&self) -> Option<(Days, usize)> {
        if let Some((year, used)) = number(self.text)
            && (1900..2100).contains(&year)
            && let Some(sign) = starts(&self.text[used..], &["年", "년"])
        {
            let bytes = used + sign;
            let rest = self.text[bytes..].trim_start();
            let bytes = self.text.len() - rest.len();
            let after = Rest { text: rest, today: self.today, in_number: false };
            return Some(match after.month_and_day(Some(year as i16)) {
                Some((days, used)) => (days, bytes + used),
                None => (Days::year(year as i16)?, bytes),
            });
        }
        self.month_and_day(None).or_else(|| {
            let (day, used) = number(self.text).filter(|(day, _)| (1..=31).contains(day))?;
            let sign = starts(&self.text[used..], &["号", "號"])?;
            // `3号楼`, `5号线`: things with numbers.
            let thing = starts(&self.text[used + sign..], &["楼", "樓", "线", "線", "机", "機", "店", "门", "館"]);
            thing.is_none().then_some(())?;
            Some((Days::day_of_month(self.today, day as i8)?, used + sign))
        })
    }

    /// `5月2日`, `5月`: not `5个月`, which is a length.
    fn month_and_day(&self, year: Option<i16>) -> Option<(Days, usize)> {
        let (month, used) = number(self.text).filter(|(month, _)| (1..=12).contains(month))?;
        let mut bytes = used + starts(&self.text[used..], &["月份", "月", "월"])?;
        let rest = self.text[bytes..].trim_start();
        if let Some((day, used)) = number(rest).filter(|(day, _)| (1..=31).contains(day))
            && let Some(sign) = starts(&rest[used..], &["日", "号", "號", "일"])
        {
            bytes = self.text.len() - rest.len() + used + sign;
            return Some((Days::date(self.today, year, month as i8, day as i8)?, bytes));
        }
        Some((Days::month_of(self.today, year, month as i8)?, bytes))
    }

    fn counted(&self) -> Option<(Days, usize)> {
        // `前几天`, `この前`: a few days back, as loosely as it is said.
        let used = starts(self.text, &["前几天", "前幾天", "这几天", "這幾天", "最近几天", "数日前"])?;
        Some((Days::past(self.today, 7, Unit::Day)?, used))
    }
}

/// The bytes of the first of these that a text starts with.
fn starts(text: &str, any: &[&str]) -> Option<usize> {
    any.iter().find(|sign| text.starts_with(**sign)).map(|sign| sign.len())
}

fn unit(text: &str) -> Option<(Unit, usize)> {
    let units = [
        (Unit::Day, &["天", "日間", "日", "일"][..]),
        (Unit::Week, &["个星期", "個星期", "星期", "个礼拜", "周", "週間", "週", "주일", "주"][..]),
        (Unit::Month, &["个月", "個月", "ヶ月", "か月", "ヵ月", "カ月", "ケ月", "개월", "달"][..]),
        (Unit::Year, &["年間", "年", "년"][..]),
    ];
    units.iter().find_map(|(unit, signs)| Some((*unit, starts(text, signs)?)))
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit() || han_digit(c).is_some() || c == '十' || c == '百'
}

fn han_digit(c: char) -> Option<i64> {
    match c {
        '〇' | '零' | '○' => Some(0),
        '两' | '兩' => Some(2),
        c => "一二三四五六七八九".chars().position(|digit| digit == c).map(|digit| digit as i64 + 1),
    }
}

/// A number in digits, or in Han characters: place by place (`二〇二三`) or with tens (`三十一`). And its bytes.
fn number(text: &str) -> Option<(i64, usize)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits > 0 {
        return (digits <= 4).then(|| text[..digits].parse().ok()).flatten().map(|number| (number, digits));
    }
    let mut bytes = 0;
    let (mut whole, mut last, mut places) = (0_i64, None, 0);
    for c in text.chars().take(5) {
        if c == '十' {
            whole = last.take().unwrap_or(1) * 10;
            places = 0;
        } else if let Some(digit) = han_digit(c) {
            last = Some(last.map_or(digit, |last: i64| last * 10 + digit));
            places += 1;
        } else {
            break;
        }
        bytes += c.len_utf8();
    }
    (bytes > 0 && places <= 4).then_some((whole + last.unwrap_or(0), bytes))
}
