//! As much of the encoding of Protocol Buffers as builds need: <https://protobuf.dev/programming-guides/encoding/>.

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A number, or a truth.
    Number(u64),
    /// A text, bytes, or a message of its own.
    Bytes(&'a [u8]),
    /// A number of fixed size, which nothing here has.
    Fixed,
}

/// The fields of a message with their numbers, in order. They end where the message is malformed.
pub(super) fn fields(message: &[u8]) -> impl Iterator<Item = (u64, Value<'_>)> {
    let mut rest = message;
    std::iter::from_fn(move || {
        let tag = number(&mut rest)?;
        let value = match tag & 7 {
            0 => Value::Number(number(&mut rest)?),
            1 => take(&mut rest, 8).map(|_| Value::Fixed)?,
            2 => {
                let length = usize::try_from(number(&mut rest)?).ok()?;
                Value::Bytes(take(&mut rest, length)?)
            }
            5 => take(&mut rest, 4).map(|_| Value::Fixed)?,
            _ => return None,
        };
        Some((tag >> 3, value))
    })
}

/// The bytes of the last field of that number; none if there is no such field, as with all that is not given.
pub(super) fn bytes(message: &[u8], field: u64) -> &[u8] {
    let found = fields(message).filter_map(|(number, value)| match value {
        Value::Bytes(bytes) if number == field => Some(bytes),
        _ => None,
    });
    found.last().unwrap_or_default()
}

/// The text of the last field of that number.
pub(super) fn text(message: &[u8], field: u64) -> String {
    String::from_utf8_lossy(bytes(message, field)).into_owned()
}

/// A message with a text or bytes in each of these fields, whose numbers are below 16.
pub(super) fn message_of<T: AsRef<[u8]>>(parts: &[(u8, T)]) -> Vec<u8> {
    let mut message = Vec::new();
    for (field, part) in parts {
        message.push(field << 3 | 2);
        push(&mut message, part.as_ref().len());
        message.extend(part.as_ref());
    }
    message
}

/// Seven bits in each byte, the lowest first; the eighth says that more come.
fn push(message: &mut Vec<u8>, mut number: usize) {
    loop {
        let [lowest, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            return message.push(lowest & 0x7f);
        }
        message.push(lowest | 0x80);
    }
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let long = "x".repeat(300);
        let message = message_of(&[(1, "user"), (2, long.as_str())]);
        assert_eq!(
            (text(&message, 1), text(&message, 2), text(&message, 3)),
            ("user".into(), long, String::new())
        );
    }

    #[test]
    fn fields_have_numbers_and_end_where_they_are_malformed() {
        let message = [0x08, 0xac, 0x02, 0x12, 0x01, b'a', 0x1d, 1, 2, 3, 4, 0x12, 0x7f];
        let found: Vec<_> = fields(&message).collect();
        assert_eq!(found, [(1, Value::Number(300)), (2, Value::Bytes(b"a")), (3, Value::Fixed)]);
        assert_eq!(fields(&[0xff; 20]).count(), 0);
    }
}
