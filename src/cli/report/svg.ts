/** Text as it may stand in HTML and SVG, also inside a quoted attribute. */
export function escapeText(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

type Attributes = Readonly<Record<string, string | number>>;

/** One SVG element. Numbers are written to a tenth of a pixel; `children` is markup already. */
export function element(name: string, attributes: Attributes, children = ""): string {
  const written = Object.entries(attributes)
    .map(
      ([key, value]) =>
        ` ${key}="${typeof value === "number" ? Number(value.toFixed(1)) : escapeText(value)}"`,
    )
    .join("");
  return children === "" ? `<${name}${written}/>` : `<${name}${written}>${children}</${name}>`;
}

/** A text element; `words` is escaped here. */
export function label(words: string, attributes: Attributes): string {
  return element("text", attributes, escapeText(words));
}

/** What a browser shows when the pointer rests on the parent. */
export function tooltip(words: string): string {
  return `<title>${escapeText(words)}</title>`;
}
