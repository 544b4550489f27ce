use std::fs;

use jiff::Timestamp;

use proptest::prelude::*;

use super::*;

fn texts(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

fn strings(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

#[test]
fn lines_are_read_while_the_log_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let mut reader = Reader::new(directory.path());
    assert_eq!(reader.read(100).unwrap(), []);
    let mut log = Writer::create(directory.path(), 0).unwrap();
    let time: Timestamp = "2026-11-25T08:00:00.123456Z".parse().unwrap();
    log.write(time, Stream::Stdout, &strings(&["a", "\u{1b}[1mé\"\\"])).unwrap();
    let lines = reader.read(10_000).unwrap();
    assert_eq!(texts(&lines), ["a", "\u{1b}[1mé\"\\"]);
    assert_eq!((lines[0].time, lines[0].stream), (time, Stream::Stdout));
    assert_eq!(reader.read(100).unwrap(), []);
    log.write(time, Stream::Stderr, &strings(&["b"])).unwrap();
    assert_eq!(texts(&reader.read(100).unwrap()), ["b"]);
}

#[test]
fn a_long_log_is_limited_and_keeps_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let mut log = Writer::create(directory.path(), MIN_LOG_BYTES).unwrap();
    let mut behind = Reader::new(directory.path());
    for number in 0..50_000 {
        log.write(Timestamp::UNIX_EPOCH, Stream::Stdout, &[format!("line {number}")]).unwrap();
        if number == 0 {
            assert_eq!(texts(&behind.read(100).unwrap()), ["line 0"]);
        }
    }
    let sizes = [current_file(directory.path()), previous_file(directory.path())]
        .map(|p| p.metadata().unwrap().len());
    assert!(sizes.iter().sum::<u64>() <= MIN_LOG_BYTES, "{sizes:?}");
    let mut reader = Reader::new(directory.path());
    let mut all = Vec::new();
    loop {
        let lines = reader.read(1000).unwrap();
        if lines.is_empty() {
            break;
        }
        all.extend(lines);
    }
    assert_eq!(all[0].stream, Stream::System);
    assert!(all[0].text.starts_with("earlier lines were removed"));
    let numbers: Vec<u32> =
        all[1..].iter().map(|line| line.text.strip_prefix("line ").unwrap().parse().unwrap()).collect();
    assert!(numbers.len() > 5000);
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]));
    assert_eq!(*numbers.last().unwrap(), 49_999);
    assert_eq!(texts(&tail(directory.path(), 2).unwrap()), ["line 49998", "line 49999"]);
    // The log of a slow reader says that lines are missing.
    let mut has_notice = false;
    loop {
        let lines = behind.read(1 << 20).unwrap();
        if lines.is_empty() {
            break;
        }
        has_notice |= lines.iter().any(|line| line.stream == Stream::System);
    }
    assert!(has_notice);
}

#[test]
fn an_incomplete_line_is_read_later_and_a_malformed_one_is_skipped() {
    let directory = tempfile::tempdir().unwrap();
    let line =
        |text| format!("{{\"time\":\"2026-11-25T08:00:00Z\",\"stream\":\"stdout\",\"text\":\"{text}\"}}\n");
    let whole = format!("{{\"segment\":1}}\n{}nonsense\n{}", line("a"), line("b"));
    let mut reader = Reader::new(directory.path());
    let mut read = Vec::new();
    for end in 0..=whole.len() {
        fs::write(current_file(directory.path()), &whole[..end]).unwrap();
        read.extend(reader.read(1).unwrap());
    }
    read.extend(reader.read(100).unwrap());
    assert_eq!(texts(&read), ["a", "b"]);
}

#[test]
fn lines_end_with_lf_or_crlf() {
    let mut splitter = LineSplitter::default();
    assert_eq!(splitter.push(b"a\r\nb\n\nc"), ["a", "b", ""]);
    assert_eq!(splitter.push(b"d\xff"), [""; 0]);
    assert_eq!(splitter.finish(), ["cd\u{fffd}"]);
    assert_eq!(splitter.finish(), [""; 0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn no_byte_is_lost(pieces in prop::collection::vec("[a-zé\n]{0,100}", 0..8), at in 1_usize..9000) {
        let text = pieces.concat().replacen('\n', "", 20).repeat(100);
        let mut splitter = LineSplitter::default();
        let mut lines = Vec::new();
        for chunk in text.as_bytes().chunks(at) {
            lines.extend(splitter.push(chunk));
        }
        lines.extend(splitter.finish());
        prop_assert!(lines.iter().all(|line| line.len() <= MAX_LINE_BYTES));
        prop_assert_eq!(lines.concat(), text.replace('\n', ""));
    }
}
