/*
 * Ends of calls that talk: each sends 20 ms of A-law fifty times a second. Those of each tenth call, a call being two ends
 * that are added one after the other, look at what comes; for the others the kernel drops it, so that the phones, which are
 * on the machine that is measured, take little of it.
 *
 * Words on standard input, a line each:
 *     add GROUP PORT PEER    an end at 127.0.0.1:PORT that sends to 127.0.0.1:PEER; GROUP is 0 to 7
 *     play MASK              only these groups send from now on, a bit for each; all do at first
 *     tell                   a line for each group, then a full stop; all counts begin again
 * A line has: group, sent, of them more than 5 ms late, received, lost, more than 20 ms on the way,
 * and what half and 99 % took at most, in microseconds.
 *
 * Ends send in bunches, each half millisecond a fortieth of them, and the program sleeps by the clock, not on its sockets: a
 * sender that does makes the PBX pay for waking it. In the sound stand a mark, the end, a number and the time; the time
 * of arrival is the kernel's.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { GROUPS = 8, MOST = 8192, SLOTS = 40, TICK = 500000, BUCKETS = 10000, WAY = 10000, HEADER = 12, SOUND = 160, PROBE = 10 };
static const uint32_t MARK = 0x61676921;

struct told { uint32_t mark, end, number, seconds, nanoseconds; };
struct end { int socket, group; uint32_t number, heard; int has_heard; uint16_t sequence; uint32_t at; };
struct count { long sent, slow, received, lost, late, ways[BUCKETS + 1]; };

static struct end ends[MOST];
static int how_many;
static struct count counts[GROUPS];
static int used[GROUPS];
static int playing = ~0;
static unsigned char silence[HEADER + SOUND];

static int64_t now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void fail(const char *what) { perror(what); exit(1); }

static void add(int epoll, int group, int port, int peer) {
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(port)}, there = here;
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = how_many};
    struct end *end = &ends[how_many];
    int on = 1, room = 1 << 18;
    inet_pton(AF_INET, "127.0.0.1", &here.sin_addr);
    there.sin_addr = here.sin_addr;
    there.sin_port = htons(peer);
    if (how_many >= MOST || group < 0 || group >= GROUPS) { fprintf(stderr, "too many\n"); exit(1); }
    end->socket = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (end->socket < 0) fail("socket");
    setsockopt(end->socket, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    setsockopt(end->socket, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (bind(end->socket, (struct sockaddr *)&here, sizeof here)) fail("bind");
    if (connect(end->socket, (struct sockaddr *)&there, sizeof there)) fail("connect");
    if (how_many / 2 % PROBE) {
        struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
        struct sock_fprog filter = {.len = 1, .filter = &nothing};
        if (setsockopt(end->socket, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter)) fail("SO_ATTACH_FILTER");
    } else if (epoll_ctl(epoll, EPOLL_CTL_ADD, end->socket, &event)) fail("epoll_ctl");
    end->group = group;
    used[group] = 1;
    how_many++;
}

static void say(int index, int slow) {
    struct end *end = &ends[index];
    struct count *count = &counts[end->group];
    struct timespec t;
    struct told told;
    uint16_t sequence = htons(end->sequence++);
    uint32_t at = htonl(end->at), source = htonl(0x5EC00000u + index);
    end->at += SOUND;
    memcpy(silence + 2, &sequence, 2);
    memcpy(silence + 4, &at, 4);
    memcpy(silence + 8, &source, 4);
    clock_gettime(CLOCK_REALTIME, &t);
    told = (struct told){MARK, index, end->number++, t.tv_sec, t.tv_nsec};
    memcpy(silence + HEADER, &told, sizeof told);
    if (send(end->socket, silence, sizeof silence, 0) == sizeof silence) {
        count->sent++;
        count->slow += slow;
    }
}

static void hear(int index) {
    struct end *end = &ends[index];
    struct count *count = &counts[end->group];
    unsigned char packet[2048];
    union { char bytes[CMSG_SPACE(sizeof(struct timespec))]; struct cmsghdr align; } beside;
    for (;;) {
        struct iovec part = {packet, sizeof packet};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &beside, .msg_controllen = sizeof beside};
        struct timespec came = {0};
        struct cmsghdr *each;
        struct told told;
        int64_t way;
        ssize_t size = recvmsg(end->socket, &message, 0);
        if (size < 0) {
            /* The other side may not listen yet. */
            if (errno == ECONNREFUSED) continue;
            return;
        }
        if (size != HEADER + SOUND) continue;
        memcpy(&told, packet + HEADER, sizeof told);
        if (told.mark != MARK) continue;
        for (each = CMSG_FIRSTHDR(&message); each; each = CMSG_NXTHDR(&message, each))
            if (each->cmsg_type == SCM_TIMESTAMPNS) memcpy(&came, CMSG_DATA(each), sizeof came);
        way = ((int64_t)came.tv_sec - told.seconds) * 1000000000 + came.tv_nsec - told.nanoseconds;
        count->received++;
        count->late += way > 20000000;
        count->ways[way < 0 ? 0 : way / WAY > BUCKETS ? BUCKETS : way / WAY]++;
        if (end->has_heard && told.number > end->heard + 1) count->lost += told.number - end->heard - 1;
        end->heard = told.number;
        end->has_heard = 1;
    }
}

static long most(const struct count *count, double share) {
    long seen = 0, wanted = share * count->received;
    int bucket;
    for (bucket = 0; bucket <= BUCKETS; bucket++)
        if ((seen += count->ways[bucket]) >= wanted) break;
    return (bucket + 1) * (long)(WAY / 1000);
}

static void tell(void) {
    for (int group = 0; group < GROUPS; group++) {
        struct count *count = &counts[group];
        if (used[group])
            printf("%d %ld %ld %ld %ld %ld %ld %ld\n", group, count->sent, count->slow, count->received, count->lost,
                   count->late, most(count, 0.5), most(count, 0.99));
    }
    printf(".\n");
    fflush(stdout);
    memset(counts, 0, sizeof counts);
}

static void obey(int epoll) {
    static char text[1 << 16];
    static size_t size;
    char *line = text, *next;
    int group, port, peer;
    ssize_t more = read(0, text + size, sizeof text - 1 - size);
    if (more == 0) exit(0);
    if (more < 0) return;
    text[size += more] = 0;
    while ((next = strchr(line, '\n'))) {
        *next = 0;
        if (sscanf(line, "add %d %d %d", &group, &port, &peer) == 3) add(epoll, group, port, peer);
        else if (sscanf(line, "play %d", &group) == 1) playing = group;
        else if (!strcmp(line, "tell")) tell();
        line = next + 1;
    }
    size -= line - text;
    memmove(text, line, size);
}

int main(void) {
    int epoll = epoll_create1(0);
    struct rlimit limit;
    struct epoll_event ready[256];
    int64_t due;
    silence[0] = 0x80;
    silence[1] = 8;
    memset(silence + HEADER, 0xD5, SOUND);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    fcntl(0, F_SETFL, O_NONBLOCK);
    due = now(CLOCK_MONOTONIC);
    for (long tick = 0;; tick++, due += TICK) {
        struct timespec until = {due / 1000000000, due % 1000000000};
        int count;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        for (int index = tick % SLOTS; index < how_many; index += SLOTS)
            if (playing & 1 << ends[index].group) say(index, now(CLOCK_MONOTONIC) - due > 5000000);
        while ((count = epoll_wait(epoll, ready, 256, 0)) > 0) {
            for (int each = 0; each < count; each++) hear(ready[each].data.u32);
            if (count < 256) break;
        }
        if (tick % SLOTS == 0) obey(epoll);
    }
}
