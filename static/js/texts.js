// tr("Sending %(name)s", { name }) in the reader's language; the catalogue came as /texts/<language>.js before this.
// `make messages` finds tr("…") and ntr("…", "…", n) with plain string literals.

const { messages, plural } = window.texts;
const fill = (text, values) => text.replace(/%\((\w+)\)s/g, (_, name) => values[name]);

export const tr = (message, values = {}) => fill(messages[message] || message, values);

export function ntr(one, many, n, values = {}) {
  const forms = messages[one];
  return fill(forms ? forms[plural(n)] : n === 1 ? one : many, { n, ...values });
}
