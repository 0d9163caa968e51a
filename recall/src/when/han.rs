//! Days as Chinese, Japanese and Korean name them.

use jiff::civil::Date;

use super::{Count, Days, Named, Part, Unit};

/// Words for days and years, and how many days or years back they are: the first that fits is taken, so that longer ones
/// stand before what they begin with.
const DAYS: &[(&str, i64)] = &[
    ("大前天", 3),
    ("さきおととい", 3),
    ("一昨昨日", 3),
    ("그끄저께", 3),
    ("그끄제", 3),
    ("前天", 2),
    ("前晚", 2),
    ("一昨日", 2),
    ("一昨夜", 2),
    ("おととい", 2),
    ("엊그저께", 2),
    ("엊그제", 2),
    ("그저께", 2),
    ("그제", 2),
    ("昨天", 1),
    ("昨日", 1),
    ("昨晚", 1),
    ("昨夜", 1),
    ("昨晩", 1),
    ("昨早", 1),
    ("昨儿", 1),
    ("昨兒", 1),
    ("きのう", 1),
    ("ゆうべ", 1),
    ("어제", 1),
    ("어저께", 1),
    ("어젯밤", 1),
    ("간밤", 1),
    ("지난밤", 1),
    ("지난 밤", 1),
    ("今天", 0),
    ("今日", 0),
    ("本日", 0),
    ("今早", 0),
    ("今晨", 0),
    ("今朝", 0),
    ("今晚", 0),
    ("今晩", 0),
    ("今夜", 0),
    ("今儿", 0),
    ("今兒", 0),
    ("きょう", 0),
    ("けさ", 0),
    ("오늘", 0),
];

const YEARS: &[(&str, i64)] = &[
    ("大前年", 3),
    ("前年", 2),
    ("一昨年", 2),
    ("おととし", 2),
    ("재작년", 2),
    ("去年", 1),
    ("昨年", 1),
    ("작년", 1),
    ("지난해", 1),
    ("지난 해", 1),
    ("今年", 0),
    ("本年", 0),
    ("올해", 0),
    ("금년", 0),
];

/// Words before a week or a month, and how many weeks or months back they put it. Chinese counts with 上 and 下 and is
/// not among them.
const BEFORE_UNITS: &[(&str, i64)] = &[
    ("先々", 2),
    ("先先", 2),
    ("지지난", 2),
    ("저저번", 2),
    ("先", 1),
    ("지난", 1),
    ("저번", 1),
    ("这", 0),
    ("這", 0),
    ("本", 0),
    ("今", 0),
    ("이번", 0),
];

/// Words for days that have not come: a question about them names no day that a record could be of.
const FUTURE: &[&str] = &[
    "大后天",
    "大後天",
    "后天",
    "後天",
    "明天",
    "明日",
    "明晚",
    "明晩",
    "明早",
    "明朝",
    "明年",
    "后年",
    "後年",
    "明後日",
    "再来週",
    "再来月",
    "再来年",
    "来週",
    "来月",
    "来年",
    "あした",
    "あさって",
    "次の",
    "今度の",
    "来る",
    "다다음",
    "다음",
    "오는",
    "내일",
    "모레",
    "글피",
    "내년",
    "내후년",
];

/// Words that make what follows come again and again.
const REPEATED: &[&str] = &["每个", "每個", "每", "毎", "隔", "双", "雙", "单", "單", "逐", "매", "격"];

/// A text at a place.
#[derive(Clone, Copy)]
struct Rest<'t> {
    whole: &'t str,
    at: usize,
    today: Date,
}

/// What a text names at a place, and how many bytes name it. No days: a time that has not come, or comes often.
type Found = Option<(Option<Days>, usize)>;

pub(super) fn find(text: &str, today: Date) -> Vec<Named> {
    let mut named = Vec::new();
    let mut end = 0;
    for (at, c) in text.char_indices() {
        if at < end || c.is_ascii() && !c.is_ascii_digit() {
            continue;
        }
        if let Some((days, bytes)) = (Rest { whole: text, at, today }).named() {
            end = at + bytes;
            named.push(Named { place: at..end, days });
        }
    }
    named
}

impl<'t> Rest<'t> {
    fn text(&self) -> &'t str {
        &self.whole[self.at..]
    }

    /// The same text so many bytes on.
    fn after(self, bytes: usize) -> Rest<'t> {
        Rest { at: self.at + bytes, ..self }
    }

    fn before(&self) -> char {
        self.whole[..self.at].chars().next_back().unwrap_or(' ')
    }

    /// The bytes of the first of these that it starts with.
    fn starts(&self, any: &[&str]) -> Option<usize> {
        any.iter().find(|sign| self.text().starts_with(**sign)).map(|sign| sign.len())
    }

    /// The entry of a list that it starts with.
    fn entry<T: Copy>(&self, list: &[(&str, T)]) -> Option<(T, usize)> {
        list.iter().find(|(word, _)| self.text().starts_with(word)).map(|(word, what)| (*what, word.len()))
    }

    /// The bytes of blanks.
    fn blanks(&self) -> usize {
        self.text().len() - self.text().trim_start_matches(' ').len()
    }

    /// The bytes of what may stand between a time and what is named of it: blanks, `的`, `の`.
    fn link(&self) -> usize {
        let blanks = self.blanks();
        blanks + self.after(blanks).starts(&["の", "的"]).unwrap_or(0)
    }

    /// Whether this is within a word of hangul or hiragana, and so another word.
    fn in_word(&self) -> bool {
        let (before, first) = (self.before(), self.text().chars().next().unwrap_or(' '));
        let particle = "はがもでにのと".contains(before);
        is_hangul(first) && is_hangul(before) || is_hiragana(first) && is_hiragana(before) && !particle
    }

    fn named(&self) -> Found {
        if self.in_word() {
            return None;
        }
        self.repeated()
            .or_else(|| self.future())
            .or_else(|| self.day())
            .or_else(|| self.in_year())
            .or_else(|| self.week())
            .or_else(|| self.month())
            .or_else(|| self.past())
            .or_else(|| self.weekday_alone())
            .or_else(|| match is_digit(self.before()) {
                true => None,
                false => self.ago().or_else(|| self.date()),
            })
    }

    /// `每周三`, `双周六`, `毎月5日`, `매주 월요일`: no day.
    fn repeated(&self) -> Found {
        let lead = self.starts(REPEATED)?;
        let unit = self.after(lead);
        let unit = match unit.weekday() {
            // `毎月曜日`
            Some((_, used)) if unit.text()[..used].contains('曜') => return Some((None, lead + used)),
            _ => {
                lead + unit
                    .starts(&["周", "週", "星期", "礼拜", "禮拜", "月", "年", "日", "天", "주", "월", "년", "해"])?
            }
        };
        let after = self.after(unit);
        let link = after.link();
        let what = after.after(link);
        let named = what
            .weekday()
            .map(|(_, used)| used)
            .or_else(|| what.day_of_month().map(|(_, used)| used))
            .or_else(|| what.month_and_day(None).map(|(_, used)| used));
        Some((None, named.map_or(unit, |named| unit + link + named)))
    }

    /// `下周一`, `来週の月曜日`, `다음 주 월요일`, `明天`: no day that has come.
    fn future(&self) -> Found {
        let downs = self.repeats('下');
        let mut used = match downs {
            0 => self.starts(FUTURE)?,
            downs => {
                let counter = self.after(downs).starts(&["一个", "一個", "个", "個"]).unwrap_or(0);
                let unit = ["周", "週", "星期", "礼拜", "禮拜", "月"];
                downs + counter + self.after(downs + counter).starts(&unit)?
            }
        };
        let korean = self.after(used + self.after(used).blanks());
        if let Some(unit) = korean.starts(&["주", "달", "해"]) {
            used = korean.at - self.at + unit;
        }
        let link = self.after(used).link();
        let what = self.after(used + link);
        let named = what
            .weekday()
            .map(|(_, used)| used)
            .or_else(|| what.starts(&["周末", "週末", "末", "주말"]))
            .or_else(|| what.day_of_month().map(|(_, used)| used))
            .or_else(|| what.month_and_day(None).map(|(_, used)| used));
        Some((None, named.map_or(used, |named| used + link + named)))
    }

    /// The bytes of a sign that is said several times.
    fn repeats(&self, sign: char) -> usize {
        self.text().len() - self.text().trim_start_matches(sign).len()
    }

    /// `昨天`, `おととい`, `그제`.
    fn day(&self) -> Found {
        let (days, used) = self.entry(DAYS)?;
        let after = self.after(used);
        // Kana spell other words with the same signs: `やきのうどん`, `きょうだい`. And `그제야` is only then.
        let next = after.text().chars().next().unwrap_or(' ');
        let kana = self.text().starts_with(is_hiragana) && is_hiragana(next) && !"のはにもとやがをでか".contains(next);
        (!kana && after.starts(&["야", "서야"]).is_none()).then_some(())?;
        Some((Days::before(self.today, days), used))
    }

    /// `去年`, `去年五月二号`, `昨年の12月`, `작년 오늘`.
    fn in_year(&self) -> Found {
        let (years, used) = self.entry(YEARS)?;
        let year = self.today.year().checked_sub(i16::try_from(years).ok()?)?;
        let link = self.after(used).link();
        let after = self.after(used + link);
        if let Some((days, date)) = after.month_and_day(Some(year)) {
            return Some((days, used + link + date));
        }
        if let Some((0, word)) = after.entry(DAYS) {
            return Some((
                Days::date(self.today, Some(year), self.today.month(), self.today.day()),
                used + link + word,
            ));
        }
        Some((Days::year(year), used))
    }

    /// The words before a week or month, and how many of them back it is: `上上个`, `这`, `先々`, `지난 `.
    fn back(&self) -> Option<(i64, usize)> {
        let (back, mut used) = match self.repeats('上') {
            0 => self.entry(BEFORE_UNITS)?,
            // `晚上周会`, `以上周期`, `网上`: the sign belongs to another word.
            _ if "早晚以网網线線马馬路身表手".contains(self.before()) => return None,
            ups => ((ups / '上'.len_utf8()) as i64, ups),
        };
        used += self.after(used).starts(&["一个", "一個", "个", "個", "一", " "]).unwrap_or(0);
        Some((back, used))
    }

    /// `上周`, `先週の水曜日`, `지난주 수요일`, `上个周末`, `周三`, `週末`.
    fn week(&self) -> Found {
        const UNITS: [&str; 7] = ["周", "週", "星期", "礼拜", "禮拜", "주말", "주"];
        if let Some((weeks, lead)) = self.back()
            && let Some(unit) = self.after(lead).starts(&UNITS)
        {
            if self.after(lead).text().starts_with("주말") {
                return Some((Days::weekend(self.today, weeks), lead + unit));
            }
            let used = lead + unit;
            return Some(self.in_week(weeks, used).unwrap_or((Days::week(self.today, weeks), used)))
                .filter(|_| !self.after(used).is_other_word());
        }
        // `지난 수요일`, `前の月曜日`: the last one before today.
        if let Some(lead) = self.starts(&["지난 ", "지난", "저번 ", "前の", "この前の", "先の"])
            && let Some((weekday, used)) = self.after(lead).weekday()
        {
            return Some((Days::last_weekday(self.today.yesterday().ok()?, weekday), lead + used));
        }
        if let Some(lead) = self.starts(&["이번 "])
            && let Some((weekday, used)) = self.after(lead).weekday()
        {
            return Some((Days::weekday(self.today, 0, weekday), lead + used));
        }
        // `一周三次`, `两周末`: weeks that are counted.
        (!is_digit(self.before()) && !"几幾数數半整多个個".contains(self.before())).then_some(())?;
        if let Some(used) = self.starts(&["周末", "週末", "주말"]) {
            return Some((Days::last_weekend(self.today), used));
        }
        let unit = self.starts(&UNITS[..5])?;
        let (weekday, used) = self.after(unit).weekday()?;
        Some((Days::last_weekday(self.today, weekday), unit + used))
    }

    /// After the word for a week, so many bytes on: its weekday or weekend.
    fn in_week(&self, weeks: i64, used: usize) -> Found {
        let next = self.after(used);
        if let Some((weekday, day)) = next.weekday()
            && !next.after(day).counts(&next.text()[..day])
        {
            return Some((Days::weekday(self.today, weeks, weekday), used + day));
        }
        let link = next.link();
        let linked = next.after(link);
        let again = linked.starts(&["周", "週", "星期", "礼拜", "禮拜"]).unwrap_or(0);
        // Apart from the week a sign alone is a number: `上周的三个会议`.
        if let Some((weekday, day)) = linked.after(again).weekday()
            && (again > 0 || linked.text()[..day].contains(['曜', '요', '욜']))
        {
            return Some((Days::weekday(self.today, weeks, weekday), used + link + again + day));
        }
        let weekend =
            linked.starts(&["周末", "週末", "末", "주말"]).filter(|_| link == 0 || !linked.text().starts_with('末'));
        weekend.map(|end| (Days::weekend(self.today, weeks), used + link + end))
    }

    /// Whether a week or month goes on as another word: `上周期`, `本周围`, `本月亮`.
    fn is_other_word(&self) -> bool {
        // `지난 주문`, `이번 주제`: what follows a week or month in Korean is a particle.
        let next = self.text().chars().next().unwrap_or(' ');
        if is_hangul(next) && is_hangul(self.before()) {
            return !"에엔의는은도부까내간동와랑중초말이가를하".contains(next);
        }
        self.text().starts_with([
            '期', '岁', '歲', '年', '边', '邊', '围', '圍', '长', '長', '刊', '报', '報', '饼', '餅', '亮', '球',
        ])
    }

    /// `上个月`, `上个月5号`, `上个月底`, `先月`, `지난 달`.
    fn month(&self) -> Found {
        let (months, lead) = self.back()?;
        let used = lead + self.after(lead).starts(&["月", "달"])?;
        let after = self.after(used);
        (!after.is_other_word()).then_some(())?;
        let month = Days::month_before(self.today, months)?;
        if let Some((part, sign)) = after.part() {
            return Some((month.part(part), used + sign));
        }
        let link = after.link();
        if let Some((day, date)) = after.after(link).day_of_month() {
            let (year, month) = (month.first.year(), month.first.month());
            return Some((Days::date(self.today, Some(year), month, day), used + link + date));
        }
        Some((Some(month), used))
    }

    /// After a month: `初`, `中旬`, `底`, ` 말`.
    fn part(&self) -> Option<(Part, usize)> {
        const PARTS: [(&str, Part); 15] = [
            ("上旬", Part::Early),
            ("初旬", Part::Early),
            ("初め", Part::Early),
            ("月初", Part::Early),
            ("初", Part::Early),
            ("초순", Part::Early),
            ("초", Part::Early),
            ("中旬", Part::Middle),
            ("半ば", Part::Middle),
            ("중순", Part::Middle),
            ("下旬", Part::Late),
            ("底", Part::Late),
            ("末", Part::Late),
            ("하순", Part::Late),
            ("말", Part::Late),
        ];
        let blanks = self.blanks();
        let (part, used) = self.after(blanks).entry(&PARTS)?;
        // `말` begins many words.
        let next = self.after(blanks + used).text().chars().next().unwrap_or(' ');
        (!is_hangul(next) || "에까부의쯤경".contains(next)).then_some((part, blanks + used))
    }

    /// `水曜日`, `월요일`.
    fn weekday_alone(&self) -> Found {
        let (weekday, used) = self.weekday()?;
        self.text()[..used].contains(['曜', '요', '욜']).then_some(())?;
        Some((Days::last_weekday(self.today, weekday), used))
    }

    /// `三`, `日`, `天`, `水曜日`, `월요일`: 0 is Monday.
    fn weekday(&self) -> Option<(i64, usize)> {
        let c = self.text().chars().next()?;
        let after = self.after(c.len_utf8());
        if let Some(used) = after.starts(&["曜日", "曜", "요일", "욜"]) {
            let days = ["月월", "火화", "水수", "木목", "金금", "土토", "日일"];
            let weekday = days.iter().position(|day| day.contains(c))?;
            return Some((weekday as i64, c.len_utf8() + used));
        }
        let weekday = match c {
            '天' => 6,
            c => "一二三四五六日".chars().position(|day| day == c)? as i64,
        };
        // `周日志`
        let other = c == '日'
            && after
                .text()
                .starts_with(['志', '誌', '记', '記', '程', '常', '期', '报', '報', '本', '语', '語', '元', '均']);
        (!other).then_some((weekday, c.len_utf8()))
    }

    /// Whether the sign that was taken for a weekday is a number of what stands here: `上周三个会议`.
    fn counts(&self, sign: &str) -> bool {
        let next = self.text().chars().next().unwrap_or(' ');
        if matches!(sign, "日" | "天") || sign.chars().nth(1).is_some() {
            return false;
        }
        match number(self.text()) {
            // `上周三十点`
            Some((_, used)) => self.after(used).starts(&["点", "點", "时", "時"]).is_none(),
            None => "个個次场場条條件项項篇种種家台位份轮輪遍回年百千万萬天".contains(next),
        }
    }

    /// `最近三天`, `过去两周`, `前两天`, `这几天`, `지난 3일`.
    fn past(&self) -> Found {
        const LEADS: [&str; 16] = [
            "最近の",
            "最近",
            "过去的",
            "过去",
            "過去的",
            "過去の",
            "過去",
            "ここ",
            "直近",
            "この",
            "近",
            "前",
            "这",
            "這",
            "최근",
            "지난",
        ];
        let lead = self.starts(&LEADS)?;
        let before = self.text().starts_with('前');
        // `目前三天`, `附近`, `三天前`: the sign belongs to what stands before it.
        let joined = is_digit(self.before()) || "目以之提当當跟面眼附天日年月周週间間".contains(self.before());
        (!(joined && self.text().starts_with(['前', '近']))).then_some(())?;
        let lead = lead + self.after(lead).blanks();
        let (count, unit, used) = self.after(lead).span()?;
        // `前一天` is the day before something that was told of.
        (!(before && count == Count::Exactly(1))).then_some(())?;
        Some((Days::past(self.today, count, unit), lead + used))
    }

    /// `三天前`, `2週間前`, `几天前`, `3 개월 전`, `일주일 전`.
    fn ago(&self) -> Found {
        let (count, unit, used) = self.span()?;
        let used = used + self.after(used).blanks();
        let before = self.after(used).starts(&["以前", "之前", "前", "전"])?;
        // `三天前端`: another word.
        let other =
            self.after(used).starts(&["前端", "前台", "前后", "前後", "前提", "전체", "전부", "전혀", "전에는"]);
        other.is_none().then_some(())?;
        Some((Days::ago(self.today, count, unit), used + before))
    }

    /// A length of time: `三天`, `半个月`, `几周`, `한 달`, `이틀`.
    fn span(&self) -> Option<(Count, Unit, usize)> {
        const WHOLE: [(&str, (Count, Unit)); 14] = [
            ("半个月", (Count::Exactly(15), Unit::Day)),
            ("半個月", (Count::Exactly(15), Unit::Day)),
            ("半月", (Count::Exactly(15), Unit::Day)),
            ("보름", (Count::Exactly(15), Unit::Day)),
            ("열흘", (Count::Exactly(10), Unit::Day)),
            ("半年", (Count::Exactly(6), Unit::Month)),
            ("반년", (Count::Exactly(6), Unit::Month)),
            ("일주일", (Count::Exactly(1), Unit::Week)),
            ("하루", (Count::Exactly(1), Unit::Day)),
            ("이틀", (Count::Exactly(2), Unit::Day)),
            ("사흘", (Count::Exactly(3), Unit::Day)),
            ("나흘", (Count::Exactly(4), Unit::Day)),
            ("닷새", (Count::Exactly(5), Unit::Day)),
            ("며칠", (Count::Few, Unit::Day)),
        ];
        if let Some(((count, unit), used)) = self.entry(&WHOLE) {
            return Some((count, unit, used));
        }
        let (count, used) = self.count()?;
        let used = used + self.after(used).blanks();
        let (unit, sign) = unit(self.after(used).text())?;
        Some((count, unit, used + sign))
    }

    fn count(&self) -> Option<(Count, usize)> {
        const KOREAN: [(&str, i64); 22] = [
            ("한", 1),
            ("두", 2),
            ("세", 3),
            ("석", 3),
            ("네", 4),
            ("넉", 4),
            ("다섯", 5),
            ("여섯", 6),
            ("일곱", 7),
            ("여덟", 8),
            ("아홉", 9),
            ("열", 10),
            ("일", 1),
            ("이", 2),
            ("삼", 3),
            ("사", 4),
            ("오", 5),
            ("육", 6),
            ("칠", 7),
            ("팔", 8),
            ("구", 9),
            ("십", 10),
        ];
        if let Some(used) = self.starts(&["好几", "好幾", "几", "幾", "数", "數", "몇"]) {
            return Some((Count::Few, used));
        }
        let (count, used) = number(self.text()).or_else(|| self.entry(&KOREAN))?;
        Some((Count::Exactly(count), used))
    }

    /// `2023年5月2日`, `五月二号`, `5月`, `2号`, `令和8年5月`.
    fn date(&self) -> Found {
        // `第2号`, `A2号`, `1.2号`: the number of a thing.
        let before = self.before();
        (before != '第' && before != '.' && !before.is_ascii_alphabetic()).then_some(())?;
        if let Some((year, bytes)) = self.year() {
            let bytes = bytes + self.after(bytes).blanks();
            return Some(match self.after(bytes).month_and_day(Some(year)) {
                Some((days, used)) => (days, bytes + used),
                None => (Days::year(year), bytes),
            });
        }
        self.month_and_day(None).or_else(|| {
            let (day, used) = self.day_of_month()?;
            self.after(used).is_said_of_days(&self.text()[..used]).then_some(())?;
            Some((Days::day_of_month(self.today, day), used))
        })
    }

    /// `2023年`, `二〇二三年`, `令和5年`; `23年` where a month follows.
    fn year(&self) -> Option<(i16, usize)> {
        const ERAS: [(&str, i64); 5] = [("令和", 2018), ("平成", 1988), ("昭和", 1925), ("民國", 1911), ("民国", 1911)];
        let (era, lead) = self.entry(&ERAS).unwrap_or((0, 0));
        let (year, used) = number(self.after(lead).text())?;
        let bytes = lead + used + self.after(lead + used).blanks();
        let bytes = bytes + self.after(bytes).starts(&["年", "년"])?;
        let short = era == 0 && self.text().as_bytes().first().is_some_and(u8::is_ascii_digit) && used == 2;
        let year = match short {
            true => self.after(bytes + self.after(bytes).blanks()).month_and_day(None).map(|_| 2000 + year)?,
            false => era + year,
        };
        (1900..2100).contains(&year).then_some((year as i16, bytes))
    }

    /// `5月2日`, `5月`, `5 月 2 号`, `5月初`: not `5个月`, which is a length.
    fn month_and_day(&self, year: Option<i16>) -> Found {
        // Nobody says the second month so.
        (!self.text().starts_with(['两', '兩'])).then_some(())?;
        let (month, used) = number(self.text()).filter(|(month, _)| (1..=12).contains(month))?;
        let used = used + self.after(used).blanks();
        let used = used + self.after(used).starts(&["月份", "月", "월"])?;
        // `月曜` after a number is a weekday.
        (!self.after(used).text().starts_with('曜')).then_some(())?;
        let blanks = self.after(used).blanks();
        if let Some((day, date)) = self.after(used + blanks).day_of_month() {
            return Some((Days::date(self.today, year, month as i8, day), used + blanks + date));
        }
        let days = Days::month_of(self.today, year, month as i8)?;
        match self.after(used).part() {
            Some((part, sign)) => Some((days.part(part), used + sign)),
            None => Some((Some(days), used)),
        }
    }

    /// `2日`, `2号`, `2 號`, `2일`.
    fn day_of_month(&self) -> Option<(i8, usize)> {
        let (day, used) = number(self.text()).filter(|(day, _)| (1..=31).contains(day))?;
        let used = used + self.after(used).blanks();
        let sign = self.after(used).starts(&["日", "号", "號", "일"])?;
        (!self.after(used).text().starts_with("日間")).then_some((day as i8, used + sign))
    }

    /// Whether what stands here follows a day: `2号我去了哪里`. Other things have numbers, too: `2号方案`, `3号楼`.
    fn is_said_of_days(&self, day: &str) -> bool {
        const AFTER: [&str; 76] = [
            "我",
            "你",
            "您",
            "他",
            "她",
            "咱",
            "大家",
            "谁",
            "誰",
            "那",
            "这",
            "這",
            "的",
            "早",
            "上午",
            "中午",
            "下午",
            "晚",
            "凌晨",
            "夜",
            "当",
            "當",
            "左右",
            "前",
            "后",
            "後",
            "以",
            "之",
            "去",
            "来",
            "來",
            "在",
            "有",
            "做",
            "干了",
            "幹了",
            "干啥",
            "干什",
            "说",
            "說",
            "聊",
            "谈",
            "談",
            "提",
            "买",
            "買",
            "吃",
            "见",
            "見",
            "看",
            "开会",
            "開會",
            "发生",
            "發生",
            "发了",
            "發了",
            "发布了",
            "發布了",
            "讨论",
            "討論",
            "问",
            "問",
            "到",
            "至",
            "和",
            "与",
            "與",
            "跟",
            "都",
            "星期",
            "周",
            "週",
            "起",
            "是星期",
            "是周",
            "休",
        ];
        // A number of days is written like a day in Japanese and Korean; these are said of a day alone.
        if day.ends_with(['日', '일']) {
            let used = self.starts(&["に", "에"]).unwrap_or(0);
            return used > 0 && number(self.after(used + self.after(used).blanks()).text()).is_none();
        }
        let after = self.after(self.blanks());
        if after.starts(&AFTER).is_some() {
            return true;
        }
        // `方案2号`: at the end of a clause it is the number of what stands before it.
        let before = self.whole[..self.at - day.len()].chars().next_back().unwrap_or(' ');
        let thing = before >= '\u{3400}'
            && before.is_alphanumeric()
            && !"我你您他她们們咱在于於从從自到至是的那就月和与跟".contains(before);
        let ends = after.text().chars().next().is_none_or(|c| !c.is_alphanumeric() && !"-_#".contains(c));
        ends && !thing
    }
}

fn is_hangul(c: char) -> bool {
    ('\u{ac00}'..='\u{d7a3}').contains(&c)
}

fn is_hiragana(c: char) -> bool {
    ('\u{3041}'..='\u{3096}').contains(&c)
}

/// The bytes of the first of these that a text starts with.
fn starts(text: &str, any: &[&str]) -> Option<usize> {
    any.iter().find(|sign| text.starts_with(**sign)).map(|sign| sign.len())
}

fn unit(text: &str) -> Option<(Unit, usize)> {
    let units = [
        (Unit::Day, &["天", "日間", "日", "일"][..]),
        (
            Unit::Week,
            &["个星期", "個星期", "星期", "个礼拜", "個禮拜", "礼拜", "禮拜", "周", "週間", "週", "주일", "주"][..],
        ),
        (Unit::Month, &["个月", "個月", "ヶ月", "か月", "ヵ月", "カ月", "ケ月", "箇月", "개월", "달"][..]),
        (Unit::Year, &["年間", "年", "년", "해"][..]),
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
