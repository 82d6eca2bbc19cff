/** True if `topic` matches `filter`, with the wildcards + and # (MQTT 5, section 4.7.1). Shared filters: see below. */
export function matches(filter: string, topic: string): boolean {
  const wanted = filter.split("/");
  const levels = topic.split("/");
  // Section 4.7.2: a filter that begins with a wildcard does not match topics that begin with $.
  if (topic.startsWith("$") && (wanted[0] === "+" || wanted[0] === "#")) return false;
  for (const [place, want] of wanted.entries()) {
    if (want === "#") return true;
    if (place >= levels.length || (want !== "+" && want !== levels[place])) return false;
  }
  return wanted.length === levels.length;
}

/** $share/GROUP/FILTER taken apart (section 4.8.2); group null for a filter of one's own. */
export function sharing(filter: string): { group: string | null; filter: string } {
  const shared = /^\$share\/([^/+#]+)\/(.+)$/.exec(filter);
  return shared ? { group: shared[1]!, filter: shared[2]! } : { group: null, filter };
}
