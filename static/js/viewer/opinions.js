// What two readers made of the same image. Pure.

// both, without saying the same twice; on one finding the second's verdict counts
export function joined(theirs, mine) {
  const texts = [...theirs.boxes, ...mine.boxes].map((box) => JSON.stringify(box));
  return {
    verdicts: { ...theirs.verdicts, ...mine.verdicts },
    added: [...new Set([...theirs.added, ...mine.added])],
    note: [...new Set([theirs.note, mine.note])].filter(Boolean).join("\n"),
    boxes: [...new Set(texts)].map((text) => JSON.parse(text)),
  };
}
