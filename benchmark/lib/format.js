// Numbers as text.

/**
 * Three significant digits, unit attached: "0.0621 ms", "10,400 /s".
 * @param {number} value
 * @param {string} unit
 */
export function formatValue(value, unit) {
  return `${formatNumber(value)} ${unit}`;
}

/** @param {number} ratio */
export function formatRatio(ratio) {
  return `${formatNumber(ratio)}x`;
}

/** @param {number} value */
function formatNumber(value) {
  const size = Math.abs(value);
  const digits =
    size >= 100 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(size || 1)));
  return value.toLocaleString("en-US", {
    minimumFractionDigits: Math.min(digits, 4),
    maximumFractionDigits: Math.min(digits, 4),
  });
}
