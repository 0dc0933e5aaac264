/* mktime where local time is UTC: WASI knows no other zone. What says that it is summer time lies an hour earlier, as in the GNU
 * C library. */
#include <time.h>

time_t mktime(struct tm *time) {
    struct tm moment = *time;
    moment.tm_wday = -1;
    time_t seconds = timegm(&moment);
    /* -1 is a time as well: what tells is whether the day of the week was found. */
    if (moment.tm_wday < 0) return -1;
    if (time->tm_isdst > 0) seconds -= 3600;
    return gmtime_r(&seconds, time) ? seconds : -1;
}
