/* strftime and wcsftime as the GNU C library has them in the C locale: with flags (`_ - 0 ^ #`), widths, and the conversions
 * that POSIX lacks. What is no conversion is copied. __test__/tables/strftime.json holds what a Python on Linux gives. */
#include <errno.h>
#include <limits.h>
#include <locale.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <wchar.h>
#include <wctype.h>

/* Where text goes: characters of one byte or four. `size` is what was written, never more than `room` and then too much. */
typedef struct {
    char *narrow;
    wchar_t *wide;
    size_t size, room;
    bool full;
} Output;

/* A format of either kind of characters. */
typedef struct {
    const char *narrow;
    const wchar_t *wide;
} Format;

typedef struct {
    int pad; /* `_`, `-`, `0`, or 0 */
    bool upper, lower, swapped;
    long width;
    int modifier; /* `E`, `O`, or 0 */
} Style;

static const char days[][10] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
static const char months[][10] = {"January", "February", "March",     "April",   "May",      "June",
                                  "July",    "August",   "September", "October", "November", "December"};

static int at(Format format, size_t index) { return format.wide ? (int)format.wide[index] : (unsigned char)format.narrow[index]; }

static void put(Output *output, int character) {
    if (output->size == output->room) {
        output->full = true;
        return;
    }
    if (output->wide) {
        output->wide[output->size++] = character;
    } else {
        output->narrow[output->size++] = (char)character;
    }
}

static void fill(Output *output, int character, long count) {
    for (; count > 0 && !output->full; count--) put(output, character);
}

/* Bytes beyond ASCII are parts of characters. */
static int in_case(int character, bool wide, const Style *style) {
    if (!wide && character > 127) return character;
    if (style->lower) return (int)towlower((wint_t)character);
    if (style->upper) return (int)towupper((wint_t)character);
    return character;
}

/* The text at the right of the width. */
static void put_text(Output *output, Format text, size_t from, size_t to, const Style *style) {
    fill(output, style->pad == '0' ? '0' : ' ', style->width - (long)(to - from));
    for (; from < to; from++) put(output, in_case(at(text, from), text.wide, style));
}

static void put_string(Output *output, const char *text, size_t size, const Style *style) {
    put_text(output, (Format){.narrow = text}, 0, size, style);
}

/* Decimal digits in the end of `text`, with a sign if need be. Returns where they begin. */
enum { DIGITS = 24 };
static size_t to_decimal(int64_t value, char text[DIGITS]) {
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    size_t start = DIGITS;
    do {
        text[--start] = (char)('0' + rest % 10);
    } while (rest /= 10);
    if (value < 0) text[--start] = '-';
    return start;
}

/* At least `digits` characters, and as many as the width: with zeros behind the sign, or spaces before it. */
static void put_number(Output *output, int64_t value, long digits, const Style *style) {
    char text[DIGITS];
    size_t start = to_decimal(value, text);
    bool zeros = style->pad != '_' && style->pad != '-';
    long least = style->pad == '-' || digits < style->width ? style->width : digits;
    long padding = least - (long)(DIGITS - start);
    if (!zeros) fill(output, ' ', padding);
    if (value < 0) put(output, text[start++]);
    if (zeros) fill(output, '0', padding);
    while (start < DIGITS) put(output, text[start++]);
}

static void put_spaced(Output *output, int64_t value, const Style *style) {
    Style spaced = *style;
    if (!spaced.pad) spaced.pad = '_';
    put_number(output, value, 2, &spaced);
}

static void put_seconds(Output *output, const struct tm *time, const Style *style) {
    char text[DIGITS];
    struct tm copy = *time;
    size_t start = to_decimal(mktime(&copy), text);
    put_string(output, text + start, DIGITS - start, style);
}

static void put_offset(Output *output, const struct tm *time, const Style *style) {
    if (time->tm_isdst < 0) return;
    long minutes = time->tm_gmtoff / 60;
    put_string(output, time->tm_gmtoff < 0 ? "-" : "+", 1, style);
    if (minutes < 0) minutes = -minutes;
    put_number(output, minutes / 60 * 100 + minutes % 60, 4, style);
}

static bool is_leap(int64_t year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

/* How many weeks have begun by this day: a week begins `first` days after Sunday. */
static int week(const struct tm *time, int first) { return (time->tm_yday - (time->tm_wday - first + 7) % 7 + 7) / 7; }

/* The day's number in the weeks of a year, which begin on the Monday of the week that holds January 4. */
static int iso_day(int day, int weekday) {
    /* Large enough that nothing below becomes negative. */
    enum { WHOLE_WEEKS = 3 * 7 };
    return day - (day - weekday + 4 + WHOLE_WEEKS) % 7 + 4 - 1;
}

/* The year that the week belongs to; its number by `week`. */
static int64_t iso_year(const struct tm *time, int *week) {
    int64_t year = (int64_t)time->tm_year + 1900;
    int day = iso_day(time->tm_yday, time->tm_wday);
    if (day < 0) {
        year--;
        day = iso_day(time->tm_yday + 365 + is_leap(year), time->tm_wday);
    } else {
        int next = iso_day(time->tm_yday - 365 - is_leap(year), time->tm_wday);
        if (next >= 0) {
            year++;
            day = next;
        }
    }
    *week = day / 7 + 1;
    return year;
}

static void put_iso(Output *output, int conversion, const struct tm *time, const Style *style) {
    int week;
    int64_t year = iso_year(time, &week);
    if (conversion == 'V') put_number(output, week, 2, style);
    if (conversion == 'G') put_number(output, year, 1, style);
    if (conversion == 'g') put_number(output, (year % 100 + 100) % 100, 2, style);
}

static void format_into(Output *output, Format format, size_t size, const struct tm *time);

/* What stands for several conversions: the width is that of the whole. */
static void put_composed(Output *output, const char *format, const struct tm *time, const Style *style) {
    char text[128];
    Output part = {.narrow = text, .room = sizeof text};
    format_into(&part, (Format){.narrow = format}, strlen(format), time);
    put_string(output, text, part.size, style);
}

/* Which conversions may follow `E` and `O`, as the GNU C library has it. */
static bool is_allowed(int conversion, int modifier) {
    if (conversion <= 0 || conversion > 127) return false;
    if (modifier == 'E') return strchr("%cCnPprRsTtuxXyYzZ", conversion);
    if (modifier == 'O') return strchr("%bBCdegGhHIjklmMnPpRrsStTuUVwWyzZ", conversion);
    return true;
}

static const char *composed(int conversion) {
    switch (conversion) {
    case 'c': return "%a %b %e %H:%M:%S %Y";
    case 'D':
    case 'x': return "%m/%d/%y";
    case 'F': return "%Y-%m-%d";
    case 'R': return "%H:%M";
    case 'r': return "%I:%M:%S %p";
    case 'T':
    case 'X': return "%H:%M:%S";
    }
    return NULL;
}

static void put_name(Output *output, const char *name, size_t size, const Style *style) {
    Style cased = *style;
    if (style->swapped) cased.upper = true;
    put_string(output, name, size, &cased);
}

static void put_lower(Output *output, const char *text, bool lower, const Style *style) {
    Style cased = *style;
    if (lower) cased.lower = true;
    put_string(output, text, strlen(text), &cased);
}

/* A day or month, in full or its first three letters. Those that do not exist are `?`. */
static void put_name_of(Output *output, const char (*names)[10], int index, int count, bool whole, const Style *style) {
    const char *name = index >= 0 && index < count ? names[index] : "?";
    size_t size = strlen(name);
    put_name(output, name, whole || size < 3 ? size : 3, style);
}

/* A time that names no zone is local time, which is UTC, unless nobody knows whether it is summer time. */
static const char *zone(const struct tm *time) {
    if (time->tm_zone && *time->tm_zone) return time->tm_zone;
    return time->tm_isdst < 0 ? "" : "UTC";
}

/* False: there is no such conversion. */
static bool convert(Output *output, int conversion, const struct tm *time, const Style *style) {
    const int64_t year = (int64_t)time->tm_year + 1900;
    const int hour = time->tm_hour > 12 ? time->tm_hour - 12 : time->tm_hour ? time->tm_hour : 12;
    const char *format = composed(conversion);
    if (format) return put_composed(output, format, time, style), true;
    switch (conversion) {
    case '%': return put_string(output, "%", 1, style), true;
    case 'n': return put_string(output, "\n", 1, style), true;
    case 't': return put_string(output, "\t", 1, style), true;
    case 'a': return put_name_of(output, days, time->tm_wday, 7, false, style), true;
    case 'A': return put_name_of(output, days, time->tm_wday, 7, true, style), true;
    case 'b':
    case 'h': return put_name_of(output, months, time->tm_mon, 12, false, style), true;
    case 'B': return put_name_of(output, months, time->tm_mon, 12, true, style), true;
    case 'C': return put_number(output, year / 100 - (year % 100 < 0), 1, style), true;
    case 'd': return put_number(output, time->tm_mday, 2, style), true;
    case 'e': return put_spaced(output, time->tm_mday, style), true;
    case 'H': return put_number(output, time->tm_hour, 2, style), true;
    case 'I': return put_number(output, hour, 2, style), true;
    case 'j': return put_number(output, (int64_t)time->tm_yday + 1, 3, style), true;
    case 'k': return put_spaced(output, time->tm_hour, style), true;
    case 'l': return put_spaced(output, hour, style), true;
    case 'm': return put_number(output, (int64_t)time->tm_mon + 1, 2, style), true;
    case 'M': return put_number(output, time->tm_min, 2, style), true;
    case 'p': return put_lower(output, time->tm_hour > 11 ? "PM" : "AM", style->swapped, style), true;
    case 'P': return put_lower(output, time->tm_hour > 11 ? "pm" : "am", true, style), true;
    case 's': return put_seconds(output, time, style), true;
    case 'S': return put_number(output, time->tm_sec, 2, style), true;
    case 'u': return put_number(output, (time->tm_wday + 6) % 7 + 1, 1, style), true;
    case 'U': return put_number(output, week(time, 0), 2, style), true;
    case 'g':
    case 'G':
    case 'V': return put_iso(output, conversion, time, style), true;
    case 'w': return put_number(output, time->tm_wday, 1, style), true;
    case 'W': return put_number(output, week(time, 1), 2, style), true;
    case 'y': return put_number(output, (year % 100 + 100) % 100, 2, style), true;
    case 'Y': return put_number(output, year, 1, style), true;
    case 'z': return put_offset(output, time, style), true;
    case 'Z': return put_lower(output, zone(time), style->swapped, style), true;
    }
    return false;
}

static int character_at(Format format, size_t index, size_t size) { return index < size ? at(format, index) : 0; }

/* Flags, width and modifier at `index`. Returns where the conversion is. */
static size_t read_style(Format format, size_t index, size_t size, Style *style) {
    *style = (Style){0};
    for (;; index++) {
        int flag = character_at(format, index, size);
        if (flag == '_' || flag == '-' || flag == '0') style->pad = flag;
        else if (flag == '^') style->upper = true;
        else if (flag == '#') style->swapped = true;
        else break;
    }
    for (int digit; (digit = character_at(format, index, size)) >= '0' && digit <= '9'; index++) {
        if (style->width < INT_MAX / 10 - 1) style->width = style->width * 10 + (digit - '0');
        else style->width = INT_MAX / 2;
    }
    int modifier = character_at(format, index, size);
    if (modifier == 'E' || modifier == 'O') {
        style->modifier = modifier;
        index++;
    }
    return index;
}

static void format_into(Output *output, Format format, size_t size, const struct tm *time) {
    for (size_t index = 0; index < size && !output->full;) {
        if (at(format, index) != '%') {
            put(output, at(format, index++));
            continue;
        }
        Style style;
        size_t end = read_style(format, index + 1, size, &style);
        int conversion = character_at(format, end, size);
        if (end < size) end++;
        if (!is_allowed(conversion, style.modifier) || !convert(output, conversion, time, &style)) {
            /* `%Eb` is none, but its `#` counts. */
            style.upper |= style.swapped && (conversion == 'b' || conversion == 'h');
            put_text(output, format, index, end, &style);
        }
        index = end;
    }
}

size_t strftime(char *restrict text, size_t room, const char *restrict format, const struct tm *restrict time) {
    Output output = {.narrow = text, .room = room};
    format_into(&output, (Format){.narrow = format}, strlen(format), time);
    put(&output, 0);
    if (output.full) errno = ERANGE;
    return output.full ? 0 : output.size - 1;
}

size_t wcsftime(wchar_t *restrict text, size_t room, const wchar_t *restrict format, const struct tm *restrict time) {
    Output output = {.wide = text, .room = room};
    format_into(&output, (Format){.wide = format}, wcslen(format), time);
    put(&output, 0);
    if (output.full) errno = ERANGE;
    return output.full ? 0 : output.size - 1;
}

size_t strftime_l(char *restrict text, size_t room, const char *restrict format, const struct tm *restrict time, locale_t locale) {
    return strftime(text, room, format, time);
}

size_t wcsftime_l(wchar_t *restrict text, size_t room, const wchar_t *restrict format, const struct tm *restrict time,
                  locale_t locale) {
    return wcsftime(text, room, format, time);
}
