//! The frames: a byte that says what it is, the length of what follows as 32 bits, big-endian, and that.

use bytes::Bytes;
use homeostat_reconciler::ports::{AttachEnd, AttachInput, AttachOutput, AttachRequest, TerminalSize};

/// No frame carries more than so many bytes. Longer data goes in several.
pub const PAYLOAD_LIMIT: usize = 64 * 1024;

/// Type and length.
const HEADER: usize = 5;

/// What a frame is.
mod kind {
    pub(super) const REQUEST: u8 = 0x01;
    pub(super) const STDIN: u8 = 0x02;
    pub(super) const END_OF_STDIN: u8 = 0x03;
    pub(super) const RESIZE: u8 = 0x04;
    pub(super) const SIGNAL: u8 = 0x05;
    pub(super) const DETACH: u8 = 0x06;
    pub(super) const READY: u8 = 0x11;
    pub(super) const STDOUT: u8 = 0x12;
    pub(super) const STDERR: u8 = 0x13;
    pub(super) const END: u8 = 0x14;
    pub(super) const CUT_OFF: u8 = 0x15;
}

/// What goes over a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// The first to a monitor: who is there, and what for.
    Request(AttachRequest),
    /// To the program.
    Input(AttachInput),
    /// The monitor's answer to a request: from here on nothing that the program writes is missed.
    Ready,
    /// From the program.
    Output(AttachOutput),
    /// The connection ends before the program does, and why.
    CutOff(String),
}

/// Bytes are no frame. The connection is of no use any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// There is no such frame.
    #[error("frame of the unknown type {0:#04x}")]
    UnknownType(u8),
    /// It claims to be longer than any is.
    #[error("frame of {0} bytes, which is more than any has")]
    TooLong(u32),
    /// What is in it does not fit its type.
    #[error("malformed frame of the type {0:#04x}")]
    Malformed(u8),
}

impl Frame {
    /// Writes the frame; data that is too long for one as several.
    pub fn encode(&self, into: &mut Vec<u8>) {
        match self {
            Self::Request(request) => put(into, kind::REQUEST, &json(request)),
            Self::Input(AttachInput::Stdin(data)) => put_data(into, kind::STDIN, data),
            Self::Input(AttachInput::EndOfStdin) => put(into, kind::END_OF_STDIN, &[]),
            Self::Input(AttachInput::Resize(size)) => {
                let ([a, b], [c, d]) = (size.rows.to_be_bytes(), size.columns.to_be_bytes());
                put(into, kind::RESIZE, &[a, b, c, d]);
            }
            Self::Input(AttachInput::Signal(number)) => put(into, kind::SIGNAL, &number.to_be_bytes()),
            Self::Input(AttachInput::Detach) => put(into, kind::DETACH, &[]),
            Self::Ready => put(into, kind::READY, &[]),
            Self::Output(AttachOutput::Stdout(data)) => put_data(into, kind::STDOUT, data),
            Self::Output(AttachOutput::Stderr(data)) => put_data(into, kind::STDERR, data),
            Self::Output(AttachOutput::End(end)) => put(into, kind::END, &json(&shortened(end))),
            Self::CutOff(reason) => put(into, kind::CUT_OFF, cut(reason, PAYLOAD_LIMIT).as_bytes()),
        }
    }

    /// The frame alone.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.encode(&mut bytes);
        bytes
    }

    fn decode(kind: u8, payload: &[u8]) -> Result<Self, FrameError> {
        let malformed = || FrameError::Malformed(kind);
        let data = || Bytes::copy_from_slice(payload);
        let frame = match kind {
            kind::REQUEST => Self::Request(serde_json::from_slice(payload).map_err(|_| malformed())?),
            kind::STDIN => Self::Input(AttachInput::Stdin(data())),
            kind::RESIZE => {
                let &[a, b, c, d] = payload else { return Err(malformed()) };
                let size =
                    TerminalSize { rows: u16::from_be_bytes([a, b]), columns: u16::from_be_bytes([c, d]) };
                Self::Input(AttachInput::Resize(size))
            }
            kind::SIGNAL => {
                let number = payload.try_into().map_err(|_| malformed())?;
                Self::Input(AttachInput::Signal(i32::from_be_bytes(number)))
            }
            kind::STDOUT => Self::Output(AttachOutput::Stdout(data())),
            kind::STDERR => Self::Output(AttachOutput::Stderr(data())),
            kind::END => {
                Self::Output(AttachOutput::End(serde_json::from_slice(payload).map_err(|_| malformed())?))
            }
            kind::CUT_OFF => Self::CutOff(String::from_utf8(payload.to_vec()).map_err(|_| malformed())?),
            kind::END_OF_STDIN | kind::DETACH | kind::READY if !payload.is_empty() => return Err(malformed()),
            kind::END_OF_STDIN => Self::Input(AttachInput::EndOfStdin),
            kind::DETACH => Self::Input(AttachInput::Detach),
            kind::READY => Self::Ready,
            unknown => return Err(FrameError::UnknownType(unknown)),
        };
        Ok(frame)
    }
}

/// Finds frames in bytes that come in pieces. It never holds more than one frame and what was pushed last.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    /// So many of them are taken already.
    taken: usize,
}

impl Decoder {
    /// Adds bytes that have come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next frame that is whole.
    ///
    /// # Errors
    /// When the bytes are no frames. Nothing can be read from then on.
    pub fn take(&mut self) -> Result<Option<Frame>, FrameError> {
        let bytes = &self.bytes[self.taken..];
        let Some((&[kind, a, b, c, d], rest)) = bytes.split_first_chunk::<HEADER>() else { return Ok(None) };
        let announced = u32::from_be_bytes([a, b, c, d]);
        let length = usize::try_from(announced).ok().filter(|length| *length <= PAYLOAD_LIMIT);
        let length = length.ok_or(FrameError::TooLong(announced))?;
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        let frame = Frame::decode(kind, payload)?;
        self.taken += HEADER + length;
        if self.taken == self.bytes.len() {
            // Gives the memory back: most connections are silent most of the time.
            *self = Self::default();
        }
        Ok(Some(frame))
    }
}

fn put(into: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    into.push(kind);
    into.extend_from_slice(&length.to_be_bytes());
    into.extend_from_slice(payload);
}

fn put_data(into: &mut Vec<u8>, kind: u8, data: &[u8]) {
    for piece in data.chunks(PAYLOAD_LIMIT) {
        put(into, kind, piece);
    }
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// Messages name what users gave, which may be long; escaped as JSON a byte may take six.
fn shortened(end: &AttachEnd) -> AttachEnd {
    let short = |text: &Option<String>| text.as_deref().map(|text| cut(text, PAYLOAD_LIMIT / 16).to_owned());
    AttachEnd { code: end.code, error: short(&end.error), hint: short(&end.hint) }
}

/// The beginning of a text, of at most so many bytes.
fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn data() -> impl Strategy<Value = Bytes> {
        proptest::collection::vec(any::<u8>(), 1..200).prop_map(Bytes::from)
    }

    fn size() -> impl Strategy<Value = TerminalSize> {
        (any::<u16>(), any::<u16>()).prop_map(|(rows, columns)| TerminalSize { rows, columns })
    }

    fn frame() -> impl Strategy<Value = Frame> {
        let end = (any::<Option<i32>>(), any::<Option<String>>(), any::<Option<String>>())
            .prop_map(|(code, error, hint)| AttachEnd { code, error, hint });
        let request = (any::<bool>(), any::<bool>(), proptest::option::of(size()))
            .prop_map(|(stdin, foreground, size)| AttachRequest { stdin, foreground, size });
        prop_oneof![
            request.prop_map(Frame::Request),
            data().prop_map(|data| Frame::Input(AttachInput::Stdin(data))),
            Just(Frame::Input(AttachInput::EndOfStdin)),
            size().prop_map(|size| Frame::Input(AttachInput::Resize(size))),
            any::<i32>().prop_map(|number| Frame::Input(AttachInput::Signal(number))),
            Just(Frame::Input(AttachInput::Detach)),
            Just(Frame::Ready),
            data().prop_map(|data| Frame::Output(AttachOutput::Stdout(data))),
            data().prop_map(|data| Frame::Output(AttachOutput::Stderr(data))),
            end.prop_map(|end| Frame::Output(AttachOutput::End(end))),
            any::<String>().prop_map(Frame::CutOff),
        ]
    }

    proptest! {
        #[test]
        fn frames_come_back_however_they_are_cut(
            frames in proptest::collection::vec(frame(), 0..20),
            piece in 1usize..50,
        ) {
            let mut bytes = Vec::new();
            for frame in &frames {
                frame.encode(&mut bytes);
            }
            let (mut decoder, mut found) = (Decoder::default(), Vec::new());
            for piece in bytes.chunks(piece) {
                decoder.push(piece);
                while let Some(frame) = decoder.take().unwrap() {
                    found.push(frame);
                }
            }
            prop_assert_eq!(found, frames);
        }

        #[test]
        fn any_bytes_are_answered_and_little_is_held(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let mut decoder = Decoder::default();
            for piece in bytes.chunks(64) {
                decoder.push(piece);
                while let Ok(Some(_)) = decoder.take() {}
            }
            prop_assert!(decoder.bytes.len() <= bytes.len());
        }
    }

    #[test]
    fn long_data_goes_in_several_frames_and_none_is_longer_than_allowed() {
        let sent = vec![7; 3 * PAYLOAD_LIMIT + 1];
        let mut decoder = Decoder::default();
        decoder.push(&Frame::Output(AttachOutput::Stdout(sent.clone().into())).to_bytes());
        let mut came = Vec::new();
        while let Some(Frame::Output(AttachOutput::Stdout(data))) = decoder.take().unwrap() {
            assert!(data.len() <= PAYLOAD_LIMIT);
            came.extend_from_slice(&data);
        }
        assert_eq!(came, sent);
    }

    #[test]
    fn what_is_no_frame_is_refused_before_it_is_waited_for() {
        let refused = |bytes: &[u8]| {
            let mut decoder = Decoder::default();
            decoder.push(bytes);
            decoder.take().unwrap_err()
        };
        assert_eq!(refused(&[0x12, 0, 1, 0, 1]), FrameError::TooLong(65537));
        assert_eq!(refused(&[0x7f, 0, 0, 0, 0]), FrameError::UnknownType(0x7f));
        assert_eq!(refused(&[0x04, 0, 0, 0, 1, 0]), FrameError::Malformed(0x04));
        assert_eq!(refused(&[0x06, 0, 0, 0, 1, 0]), FrameError::Malformed(0x06));
        assert_eq!(refused(&[0x01, 0, 0, 0, 2, b'[', b']']), FrameError::Malformed(0x01));
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let end = AttachEnd { code: Some(127), error: Some("ü\u{1}".repeat(PAYLOAD_LIMIT)), hint: None };
        let mut decoder = Decoder::default();
        decoder.push(&Frame::Output(AttachOutput::End(end)).to_bytes());
        decoder.push(&Frame::CutOff("ü".repeat(PAYLOAD_LIMIT)).to_bytes());
        assert!(matches!(decoder.take(), Ok(Some(Frame::Output(AttachOutput::End(_))))));
        assert!(matches!(decoder.take(), Ok(Some(Frame::CutOff(_)))));
    }
}
