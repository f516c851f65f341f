/* A V4L2 capture device without a kernel driver: LD_PRELOAD puts it between a program and libc.
 *
 * With EMULATED_V4L2=DIR in the environment, /dev/video*, /dev/v4l/... and /sys/dev/char/81:... are looked for in DIR.
 * A file DIR/videoN is a device that is plugged in; deleting it unplugs the device. Without read permission the device
 * has none. An exclusive flock on it is another program that streams. Its lines say what the device is:
 *
 *   format Y16 160x120,160x122 1/9,1/5   fourcc, sizes, frame intervals in seconds; repeatable, the first is the default
 *   frames PATH                          folder with the pictures 0, 1, 2, ... that the sensor sees, without padding
 *   pad N                                bytes behind each line, filled with garbage
 *   silent 1                             stops sending, as hung firmware does
 *   bytes N                              a frame holds so many bytes, whatever its format says
 *   broken N                             every Nth frame has a hole and is marked with V4L2_BUF_FLAG_ERROR
 *   clock unknown                        frames are stamped by a clock that is not the monotonic one
 *   node metadata | multiplanar          a node that is no single-planar capture device
 *   fixed_rate 1                         the driver has no VIDIOC_S_PARM
 *   crowded 1                            other devices leave no bandwidth on its USB bus
 *
 * Behaviour follows the kernel's documentation of V4L2, and uvcvideo and videobuf2 where that leaves a choice: S_FMT
 * gives the nearest size, and the default format for one that it has not; who sets a format or asks for buffers owns the
 * device until the buffers are freed; frames for which no buffer is queued are lost but counted; after an unplug every
 * call answers ENODEV and poll POLLERR | POLLHUP. The descriptor is a memfd, so that mmap, dup and fstat are the real
 * ones. Not thread-safe against a close of a descriptor that another thread still uses. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define MOST_DEVICES 128
#define MOST_FORMATS 8
#define MOST_CHOICES 8
#define MOST_BUFFERS 32
#define MOST_MAPPINGS 256
#define MOST_DESCRIPTORS 1024
#define SLICE_NS 5000000L /* how soon a change of the device's file is noticed */

struct format {
    __u32 fourcc;
    int sizes, intervals;
    struct { __u32 width, height; } size[MOST_CHOICES];
    struct v4l2_fract interval[MOST_CHOICES];
};

struct description {
    int formats;
    struct format format[MOST_FORMATS];
    char frames[256];
    int pad, silent, bytes, broken, unknown_clock, metadata, multiplanar, fixed_rate, crowded;
};

struct buffer {
    enum { DEQUEUED, QUEUED, DONE } state;
    __u32 bytes_used, sequence, flags;
    struct timeval timestamp;
};

struct device {
    int fd, control; /* a copy of the memfd that the program holds, and the device's file: its flock is the ownership */
    int owned, gone, streaming, ever_queued;
    char path[512];
    struct stat identity, memory;
    struct v4l2_pix_format pix;
    struct v4l2_fract interval;
    int count, queue[MOST_BUFFERS], queued, done[MOST_BUFFERS], ready;
    size_t length;
    struct buffer buffer[MOST_BUFFERS];
    struct { void *start; int fd; } mapping[MOST_MAPPINGS];
    __u32 sequence;
    long long due_ns;
    struct description has;
};

static struct device devices[MOST_DEVICES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))real(#name)) /* the function of libc */

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

/* ---- what the file says */

static __u32 fourcc_of(const char *name) {
    char padded[5] = "    ";
    memcpy(padded, name, strnlen(name, 4));
    return v4l2_fourcc(padded[0], padded[1], padded[2], padded[3]);
}

static void read_format(struct format *format, char *line) {
    char name[8] = "", sizes[128] = "", intervals[128] = "", *left, *part;
    memset(format, 0, sizeof *format);
    if (sscanf(line, "%7s %127s %127s", name, sizes, intervals) != 3) abort();
    format->fourcc = fourcc_of(name);
    for (part = strtok_r(sizes, ",", &left); part; part = strtok_r(NULL, ",", &left), format->sizes++)
        if (sscanf(part, "%ux%u", &format->size[format->sizes].width, &format->size[format->sizes].height) != 2)
            abort();
    for (part = strtok_r(intervals, ",", &left); part; part = strtok_r(NULL, ",", &left), format->intervals++) {
        struct v4l2_fract *interval = &format->interval[format->intervals];
        if (sscanf(part, "%u/%u", &interval->numerator, &interval->denominator) != 2) abort();
    }
}

static void describe(struct device *device) {
    char text[4097], word[32], *left, *line;
    ssize_t size = pread(device->control, text, sizeof text - 1, 0);
    struct description *has = &device->has;
    if (size <= 0) return;
    text[size] = 0;
    memset(has, 0, sizeof *has);
    for (line = strtok_r(text, "\n", &left); line; line = strtok_r(NULL, "\n", &left)) {
        int rest = 0;
        if (sscanf(line, "%31s %n", word, &rest) != 1) continue;
        char *value = line + rest;
        if (!strcmp(word, "format")) read_format(&has->format[has->formats++], value);
        else if (!strcmp(word, "frames")) snprintf(has->frames, sizeof has->frames, "%s", value);
        else if (!strcmp(word, "pad")) has->pad = atoi(value);
        else if (!strcmp(word, "silent")) has->silent = atoi(value);
        else if (!strcmp(word, "bytes")) has->bytes = atoi(value);
        else if (!strcmp(word, "broken")) has->broken = atoi(value);
        else if (!strcmp(word, "clock")) has->unknown_clock = !strcmp(value, "unknown");
        else if (!strcmp(word, "node")) has->metadata = !(has->multiplanar = !strcmp(value, "multiplanar"));
        else if (!strcmp(word, "fixed_rate")) has->fixed_rate = atoi(value);
        else if (!strcmp(word, "crowded")) has->crowded = atoi(value);
        else abort();
    }
}

static int is_gone(struct device *device) {
    struct stat now;
    if (!device->gone)
        device->gone = fstatat(AT_FDCWD, device->path, &now, 0) || now.st_ino != device->identity.st_ino ||
                       now.st_dev != device->identity.st_dev;
    return device->gone;
}

/* ---- the sensor */

static long long now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static long long interval_ns(const struct device *device) {
    return 1000000000LL * device->interval.numerator / device->interval.denominator;
}

static int bytes_a_pixel(__u32 fourcc) {
    switch (fourcc) {
    case V4L2_PIX_FMT_GREY: case V4L2_PIX_FMT_NV12: case V4L2_PIX_FMT_NV21: case V4L2_PIX_FMT_YUV420: return 1;
    case V4L2_PIX_FMT_MJPEG: return 0;
    case V4L2_PIX_FMT_BGR24: case V4L2_PIX_FMT_RGB24: return 3;
    default: return 2;
    }
}

static int is_yuv420(const struct v4l2_pix_format *pix) {
    return pix->pixelformat == V4L2_PIX_FMT_NV12 || pix->pixelformat == V4L2_PIX_FMT_NV21 ||
           pix->pixelformat == V4L2_PIX_FMT_YUV420;
}

/* Write picture `sequence` of the folder into a buffer, line by line. */
static __u32 expose(struct device *device, int index, int broken) {
    const struct v4l2_pix_format *pix = &device->pix;
    off_t offset = index * device->length;
    char path[300], *target = REAL(mmap)(NULL, device->length, PROT_WRITE, MAP_SHARED, device->fd, offset);
    long count = 0;
    int file;
    size_t used = 0;
    if (target == MAP_FAILED) abort();
    memset(target, 0xA5, device->length);
    for (;; count++) {
        snprintf(path, sizeof path, "%s/%ld", device->has.frames, count);
        if (faccessat(AT_FDCWD, path, R_OK, 0)) break;
    }
    snprintf(path, sizeof path, "%s/%ld", device->has.frames, count ? device->sequence % count : 0);
    if ((file = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY)) >= 0) {
        if (pix->pixelformat == V4L2_PIX_FMT_MJPEG) {
            used = REAL(read)(file, target, device->length);
        } else {
            size_t line = pix->width * bytes_a_pixel(pix->pixelformat), stride = pix->bytesperline;
            __u32 lines = pix->height;
            for (int plane = 0; plane < 1 + is_yuv420(pix); plane++) {
                for (__u32 y = 0; y < lines; y++, used += stride)
                    if (REAL(read)(file, target + used, line) != (ssize_t)line) break;
                if (pix->pixelformat == V4L2_PIX_FMT_YUV420) line /= 2, stride /= 2; /* U above V */
                else lines /= 2;
            }
        }
        syscall(SYS_close, file);
    }
    if (broken) memset(target + used / 2, 0xA5, used / 4); /* packets that were lost on the way */
    if (device->has.bytes) used = device->has.bytes;
    memset(target + used, 0xA5, device->length - used);
    REAL(munmap)(target, device->length);
    return used;
}

/* Let the time since the last call pass for the sensor. */
static void advance(struct device *device) {
    long long now = now_ns();
    describe(device);
    if (!device->streaming || is_gone(device)) return;
    for (; device->due_ns <= now; device->due_ns += interval_ns(device)) {
        if (device->has.silent) continue;
        if (device->queued) {
            int index = device->queue[0];
            struct buffer *buffer = &device->buffer[index];
            long long stamp_ns = device->has.unknown_clock ? 1234567890LL : device->due_ns;
            memmove(device->queue, device->queue + 1, --device->queued * sizeof *device->queue);
            int every = device->has.broken, broken = every && device->sequence % every == (__u32)every - 1;
            buffer->bytes_used = expose(device, index, broken);
            buffer->sequence = device->sequence;
            buffer->flags = broken ? V4L2_BUF_FLAG_ERROR : 0;
            buffer->timestamp.tv_sec = stamp_ns / 1000000000LL;
            buffer->timestamp.tv_usec = stamp_ns % 1000000000LL / 1000;
            buffer->state = DONE;
            device->done[device->ready++] = index;
        }
        device->sequence++;
    }
}

/* ---- negotiation */

static const struct format *find_format(const struct device *device, __u32 fourcc) {
    for (int i = 0; i < device->has.formats; i++)
        if (device->has.format[i].fourcc == fourcc) return &device->has.format[i];
    return NULL;
}

static __u32 smaller(__u32 a, __u32 b) { return a < b ? a : b; }

static void adjust(const struct device *device, struct v4l2_pix_format *pix) {
    const struct format *format = find_format(device, pix->pixelformat);
    __u32 best = ~0u, width = pix->width, height = pix->height;
    if (!format) format = &device->has.format[0];
    memset(pix, 0, sizeof *pix);
    for (int i = 0; i < format->sizes; i++) {
        __u32 w = format->size[i].width, h = format->size[i].height;
        __u32 distance = w * h + width * height - 2 * smaller(w, width) * smaller(h, height);
        if (distance < best) best = distance, pix->width = w, pix->height = h;
    }
    pix->pixelformat = format->fourcc;
    pix->field = V4L2_FIELD_NONE;
    pix->colorspace = V4L2_COLORSPACE_SRGB;
    if (format->fourcc == V4L2_PIX_FMT_MJPEG) {
        pix->sizeimage = pix->width * pix->height * 2;
    } else {
        pix->bytesperline = pix->width * bytes_a_pixel(format->fourcc) + device->has.pad;
        pix->sizeimage = pix->bytesperline * (is_yuv420(pix) ? pix->height * 3 / 2 : pix->height);
    }
}

static void set_interval(struct device *device, struct v4l2_fract wanted) {
    const struct format *format = find_format(device, device->pix.pixelformat);
    double best = -1.0;
    device->interval = format->interval[0];
    if (!wanted.numerator || !wanted.denominator) return;
    for (int i = 0; i < format->intervals; i++) {
        double given = (double)format->interval[i].numerator / format->interval[i].denominator;
        double distance = given - (double)wanted.numerator / wanted.denominator;
        if (distance < 0) distance = -distance;
        if (best < 0 || distance < best) best = distance, device->interval = format->interval[i];
    }
}

static int own(struct device *device) {
    if (!device->owned && flock(device->control, LOCK_EX | LOCK_NB)) return EBUSY;
    device->owned = 1;
    return 0;
}

static void stop_streaming(struct device *device) {
    device->streaming = device->ever_queued = device->queued = device->ready = 0;
    for (int i = 0; i < device->count; i++) device->buffer[i].state = DEQUEUED;
}

static int is_mapped(const struct device *device) {
    for (int i = 0; i < MOST_MAPPINGS; i++)
        if (device->mapping[i].start) return 1;
    return 0;
}

static int request_buffers(struct device *device, struct v4l2_requestbuffers *request) {
    if (request->type != V4L2_BUF_TYPE_VIDEO_CAPTURE || request->memory != V4L2_MEMORY_MMAP) return EINVAL;
    int error = own(device);
    if (error) return error;
    if (device->count && is_mapped(device)) return EBUSY;
    if (device->streaming && request->count) return EBUSY;
    stop_streaming(device);
    size_t page = sysconf(_SC_PAGESIZE);
    device->count = request->count > MOST_BUFFERS ? MOST_BUFFERS : request->count == 1 ? 2 : request->count;
    device->length = (device->pix.sizeimage + page - 1) / page * page;
    if (ftruncate(device->fd, device->count * device->length)) return ENOMEM;
    memset(device->buffer, 0, sizeof device->buffer);
    if (!device->count) {
        flock(device->control, LOCK_UN);
        device->owned = 0;
    }
    request->count = device->count;
    memset(&request->capabilities, 0, (char *)(request + 1) - (char *)&request->capabilities);
    request->capabilities = V4L2_BUF_CAP_SUPPORTS_MMAP;
    return 0;
}

static int tell_buffer(const struct device *device, struct v4l2_buffer *told, __u32 index) {
    const struct buffer *buffer = &device->buffer[index];
    memset(told, 0, sizeof *told);
    told->index = index;
    told->type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    told->memory = V4L2_MEMORY_MMAP;
    told->length = device->pix.sizeimage;
    told->m.offset = index * device->length;
    told->field = V4L2_FIELD_NONE;
    told->bytesused = buffer->bytes_used;
    told->sequence = buffer->sequence;
    told->timestamp = buffer->timestamp;
    told->flags = buffer->flags | (device->has.unknown_clock ? 0 : V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC);
    told->flags |= V4L2_BUF_FLAG_TSTAMP_SRC_SOE;
    if (buffer->state == QUEUED) told->flags |= V4L2_BUF_FLAG_QUEUED;
    if (buffer->state == DONE) told->flags |= V4L2_BUF_FLAG_DONE;
    for (int i = 0; i < MOST_MAPPINGS; i++)
        if (device->mapping[i].start && device->mapping[i].fd == (int)index) told->flags |= V4L2_BUF_FLAG_MAPPED;
    return 0;
}

static int queue_buffer(struct device *device, struct v4l2_buffer *given) {
    if (given->type != V4L2_BUF_TYPE_VIDEO_CAPTURE || given->memory != V4L2_MEMORY_MMAP) return EINVAL;
    if (given->index >= (__u32)device->count || device->buffer[given->index].state != DEQUEUED) return EINVAL;
    device->buffer[given->index].state = QUEUED;
    device->queue[device->queued++] = given->index;
    device->ever_queued = 1;
    return tell_buffer(device, given, given->index);
}

static void pause_slice(void) {
    struct timespec slice = {0, SLICE_NS};
    pthread_mutex_unlock(&lock);
    nanosleep(&slice, NULL);
    pthread_mutex_lock(&lock);
}

static int dequeue_buffer(struct device *device, struct v4l2_buffer *given) {
    if (given->type != V4L2_BUF_TYPE_VIDEO_CAPTURE || given->memory != V4L2_MEMORY_MMAP) return EINVAL;
    for (;; pause_slice()) {
        advance(device);
        if (device->gone) return ENODEV;
        if (!device->streaming) return EINVAL;
        if (device->ready) break;
        if (fcntl(device->fd, F_GETFL) & O_NONBLOCK) return EAGAIN;
    }
    int index = device->done[0];
    memmove(device->done, device->done + 1, --device->ready * sizeof *device->done);
    device->buffer[index].state = DEQUEUED;
    return tell_buffer(device, given, index);
}

static int capability(const struct device *device, struct v4l2_capability *given) {
    memset(given, 0, sizeof *given);
    strcpy((char *)given->driver, "uvcvideo");
    strcpy((char *)given->card, "Emulated camera");
    strcpy((char *)given->bus_info, "usb-0000:00:00.0-1");
    given->version = 6 << 16 | 1 << 8;
    given->device_caps = device->has.metadata      ? V4L2_CAP_META_CAPTURE
                         : device->has.multiplanar ? V4L2_CAP_VIDEO_CAPTURE_MPLANE
                                                   : V4L2_CAP_VIDEO_CAPTURE;
    given->device_caps |= V4L2_CAP_STREAMING | V4L2_CAP_EXT_PIX_FORMAT;
    /* The union of all nodes of the camera, as the documentation says. */
    given->capabilities = given->device_caps | V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_META_CAPTURE | V4L2_CAP_DEVICE_CAPS;
    return 0;
}

static const char *description_of(__u32 fourcc) {
    switch (fourcc) {
    case V4L2_PIX_FMT_Y16: return "16-bit Greyscale";
    case V4L2_PIX_FMT_GREY: return "8-bit Greyscale";
    case V4L2_PIX_FMT_YUYV: return "YUYV 4:2:2";
    case V4L2_PIX_FMT_UYVY: return "UYVY 4:2:2";
    case V4L2_PIX_FMT_NV12: return "Y/UV 4:2:0";
    case V4L2_PIX_FMT_NV21: return "Y/VU 4:2:0";
    case V4L2_PIX_FMT_YUV420: return "Planar YUV 4:2:0";
    case V4L2_PIX_FMT_MJPEG: return "Motion-JPEG";
    case V4L2_PIX_FMT_BGR24: return "24-bit BGR 8-8-8";
    default: return "24-bit RGB 8-8-8";
    }
}

static int enumerate_formats(const struct device *device, struct v4l2_fmtdesc *given) {
    __u32 index = given->index;
    if (given->type != V4L2_BUF_TYPE_VIDEO_CAPTURE || index >= (__u32)device->has.formats) return EINVAL;
    memset(given, 0, sizeof *given);
    given->index = index;
    given->type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    given->pixelformat = device->has.format[index].fourcc;
    given->flags = given->pixelformat == V4L2_PIX_FMT_MJPEG ? V4L2_FMT_FLAG_COMPRESSED : 0;
    strcpy((char *)given->description, description_of(given->pixelformat));
    return 0;
}

static int enumerate_sizes(const struct device *device, struct v4l2_frmsizeenum *given) {
    const struct format *format = find_format(device, given->pixel_format);
    if (!format || given->index >= (__u32)format->sizes) return EINVAL;
    given->type = V4L2_FRMSIZE_TYPE_DISCRETE;
    given->discrete.width = format->size[given->index].width;
    given->discrete.height = format->size[given->index].height;
    memset(given->reserved, 0, sizeof given->reserved);
    return 0;
}

static int enumerate_intervals(const struct device *device, struct v4l2_frmivalenum *given) {
    const struct format *format = find_format(device, given->pixel_format);
    if (!format || given->index >= (__u32)format->intervals) return EINVAL;
    for (int i = 0;; i++) {
        if (i == format->sizes) return EINVAL;
        if (format->size[i].width == given->width && format->size[i].height == given->height) break;
    }
    given->type = V4L2_FRMIVAL_TYPE_DISCRETE;
    given->discrete = format->interval[given->index];
    memset(given->reserved, 0, sizeof given->reserved);
    return 0;
}

static int set_format(struct device *device, struct v4l2_format *given, int only_try) {
    if (given->type != V4L2_BUF_TYPE_VIDEO_CAPTURE) return EINVAL;
    adjust(device, &given->fmt.pix);
    if (only_try) return 0;
    int error = own(device);
    if (error || device->count) return EBUSY;
    device->pix = given->fmt.pix;
    set_interval(device, (struct v4l2_fract){0, 0});
    return 0;
}

static int parameters(struct device *device, struct v4l2_streamparm *given, int set) {
    if (given->type != V4L2_BUF_TYPE_VIDEO_CAPTURE) return EINVAL;
    if (device->has.fixed_rate) return ENOTTY;
    if (set && (device->streaming || own(device))) return EBUSY;
    if (set) set_interval(device, given->parm.capture.timeperframe);
    memset(&given->parm, 0, sizeof given->parm);
    given->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
    given->parm.capture.timeperframe = device->interval;
    return 0;
}

static int stream(struct device *device, int type, int on) {
    if (type != V4L2_BUF_TYPE_VIDEO_CAPTURE || (on && !device->count)) return EINVAL;
    if (on && device->has.crowded) return ENOSPC;
    if (on && !device->streaming) {
        device->streaming = 1;
        device->sequence = 0;
        device->due_ns = now_ns() + interval_ns(device);
    } else if (!on) {
        stop_streaming(device);
    }
    return 0;
}

static int input(unsigned request, void *argument) {
    struct v4l2_input *given = argument;
    if (request == VIDIOC_G_INPUT) *(int *)argument = 0;
    else if (request == VIDIOC_S_INPUT) return *(int *)argument ? EINVAL : 0;
    else {
        if (given->index) return EINVAL;
        memset(given, 0, sizeof *given);
        strcpy((char *)given->name, "Camera 1");
        given->type = V4L2_INPUT_TYPE_CAMERA;
    }
    return 0;
}

static int serve(struct device *device, unsigned request, void *argument) {
    struct v4l2_format *format = argument;
    struct v4l2_buffer *buffer = argument;
    advance(device);
    if (is_gone(device)) return ENODEV;
    if (request == VIDIOC_QUERYCAP) return capability(device, argument);
    if (device->has.metadata || device->has.multiplanar) return EINVAL;
    switch (request) {
    case VIDIOC_ENUM_FMT: return enumerate_formats(device, argument);
    case VIDIOC_ENUM_FRAMESIZES: return enumerate_sizes(device, argument);
    case VIDIOC_ENUM_FRAMEINTERVALS: return enumerate_intervals(device, argument);
    case VIDIOC_G_FMT:
        if (format->type != V4L2_BUF_TYPE_VIDEO_CAPTURE) return EINVAL;
        format->fmt.pix = device->pix;
        return 0;
    case VIDIOC_S_FMT: return set_format(device, argument, 0);
    case VIDIOC_TRY_FMT: return set_format(device, argument, 1);
    case VIDIOC_G_PARM: return parameters(device, argument, 0);
    case VIDIOC_S_PARM: return parameters(device, argument, 1);
    case VIDIOC_REQBUFS: return request_buffers(device, argument);
    case VIDIOC_QUERYBUF:
        if (buffer->type != V4L2_BUF_TYPE_VIDEO_CAPTURE || buffer->index >= (__u32)device->count) return EINVAL;
        return tell_buffer(device, buffer, buffer->index);
    case VIDIOC_QBUF: return queue_buffer(device, argument);
    case VIDIOC_DQBUF: return dequeue_buffer(device, argument);
    case VIDIOC_STREAMON: return stream(device, *(int *)argument, 1);
    case VIDIOC_STREAMOFF: return stream(device, *(int *)argument, 0);
    case VIDIOC_ENUMINPUT: case VIDIOC_G_INPUT: case VIDIOC_S_INPUT: return input(request, argument);
    case VIDIOC_QUERYCTRL: case VIDIOC_G_CTRL: case VIDIOC_S_CTRL: return EINVAL; /* it has no controls */
    default: return ENOTTY;
    }
}

/* ---- between the program and libc */

/* Where a path of a device lies, or NULL for any other path. */
static const char *redirected(const char *path, char *place, size_t size) {
    const char *folder = getenv("EMULATED_V4L2");
    if (!folder || !path) return NULL;
    if (strncmp(path, "/dev/video", 10) && strncmp(path, "/dev/v4l/", 9) && strncmp(path, "/sys/dev/char/81:", 17))
        return NULL;
    snprintf(place, size, "%s%s", folder, path + (path[1] == 'd' ? strlen("/dev") : 0));
    return place;
}

/* By the memfd behind a descriptor: programs use copies of it. */
static struct device *device_of(int fd) {
    struct stat status;
    int found = 0;
    for (int i = 0; i < MOST_DEVICES; i++) found |= devices[i].control;
    if (!found || fd < 0 || fstat(fd, &status)) return NULL;
    for (int i = 0; i < MOST_DEVICES; i++) {
        const struct stat *memory = &devices[i].memory;
        if (devices[i].control && memory->st_ino == status.st_ino && memory->st_dev == status.st_dev) return &devices[i];
    }
    return NULL;
}

static int open_device(const char *place, int flags) {
    struct device *device = NULL;
    struct stat status;
    int control, fd;
    if (stat(place, &status)) return -1;
    if (!(status.st_mode & S_IRUSR)) return errno = EACCES, -1;
    if ((control = syscall(SYS_openat, AT_FDCWD, place, O_RDONLY | O_CLOEXEC)) < 0) return -1;
    for (int i = 0; i < MOST_DEVICES && !device; i++)
        if (!devices[i].control) device = &devices[i];
    if (!device) abort();
    memset(device, 0, sizeof *device);
    device->control = control;
    fstat(control, &device->identity);
    snprintf(device->path, sizeof device->path, "%s", place);
    fd = memfd_create("emulated-v4l2", flags & O_CLOEXEC ? MFD_CLOEXEC : 0);
    fcntl(fd, F_SETFL, flags & O_NONBLOCK);
    fstat(fd, &device->memory);
    device->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    describe(device);
    if (device->has.formats) {
        adjust(device, &device->pix);
        device->pix.width = device->has.format[0].size[0].width;
        device->pix.height = device->has.format[0].size[0].height;
        adjust(device, &device->pix);
        set_interval(device, (struct v4l2_fract){0, 0});
    }
    return fd;
}

static int opened(const char *path, int flags, int *fd) {
    char place[512];
    if (!redirected(path, place, sizeof place)) return 0;
    pthread_mutex_lock(&lock);
    *fd = open_device(place, flags);
    pthread_mutex_unlock(&lock);
    return 1;
}

#define OPEN(name, ARGUMENTS, LAST, CALL)                                                                              \
    int name ARGUMENTS {                                                                                               \
        int fd, mode = 0;                                                                                              \
        va_list rest;                                                                                                  \
        va_start(rest, LAST);                                                                                          \
        if (flags & (O_CREAT | O_TMPFILE)) mode = va_arg(rest, int);                                                   \
        va_end(rest);                                                                                                  \
        return opened(path, flags, &fd) ? fd : REAL(name) CALL;                                                        \
    }
OPEN(open, (const char *path, int flags, ...), flags, (path, flags, mode))
OPEN(open64, (const char *path, int flags, ...), flags, (path, flags, mode))
OPEN(openat, (int folder, const char *path, int flags, ...), flags, (folder, path, flags, mode))
OPEN(openat64, (int folder, const char *path, int flags, ...), flags, (folder, path, flags, mode))

int __open64_2(const char *path, int flags) { return open64(path, flags); }
int __open_2(const char *path, int flags) { return open(path, flags); }

#define STATUS(name, type)                                                                                             \
    int name(const char *restrict path, type *restrict status) {                                                       \
        char place[512];                                                                                               \
        const char *there = redirected(path, place, sizeof place);                                                     \
        int answer = REAL(name)(there ? there : path, status);                                                         \
        if (there && !answer && S_ISREG(status->st_mode)) {                                                            \
            status->st_mode = S_IFCHR | (status->st_mode & 0777);                                                      \
            status->st_rdev = makedev(81, 0);                                                                          \
        }                                                                                                              \
        return answer;                                                                                                 \
    }
STATUS(stat, struct stat)
STATUS(stat64, struct stat64)

#define STREAM(name)                                                                                                   \
    FILE *name(const char *path, const char *mode) {                                                                   \
        char place[512];                                                                                               \
        return REAL(name)(redirected(path, place, sizeof place) ? place : path, mode);                                 \
    }
STREAM(fopen)
STREAM(fopen64)

int access(const char *path, int mode) {
    char place[512];
    const char *there = redirected(path, place, sizeof place);
    return REAL(access)(there ? there : path, mode);
}

int close(int fd) {
    pthread_mutex_lock(&lock);
    struct device *device = device_of(fd);
    int answer = REAL(close)(fd), copies = 0;
    for (int other = 0; device && other < MOST_DESCRIPTORS; other++)
        copies += other != device->fd && device_of(other) == device;
    if (device && !copies) {
        syscall(SYS_close, device->control); /* also lets go of the flock */
        syscall(SYS_close, device->fd);
        device->control = 0;
    }
    pthread_mutex_unlock(&lock);
    return answer;
}

ssize_t read(int fd, void *target, size_t size) {
    pthread_mutex_lock(&lock);
    struct device *device = device_of(fd);
    pthread_mutex_unlock(&lock);
    return device ? (errno = EINVAL, -1) : REAL(read)(fd, target, size);
}

int ioctl(int fd, unsigned long request, ...) {
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    pthread_mutex_lock(&lock);
    struct device *device = device_of(fd);
    char nowhere[512] = "";
    int error = device ? serve(device, (unsigned)request, argument ? argument : nowhere) : 0;
    if (device && !argument && error != ENOTTY) error = EFAULT;
    pthread_mutex_unlock(&lock);
    if (!device) return REAL(ioctl)(fd, request, argument);
    return error ? (errno = error, -1) : 0;
}

static void *map(void *(*real_map)(void *, size_t, int, int, int, off_t), void *start, size_t length, int protection,
                 int flags, int fd, off_t offset) {
    pthread_mutex_lock(&lock);
    struct device *device = device_of(fd);
    void *mapped = MAP_FAILED;
    if (!device) {
        pthread_mutex_unlock(&lock);
        return real_map(start, length, protection, flags, fd, offset);
    }
    if (is_gone(device)) errno = ENODEV;
    else if (!device->length || offset % device->length || offset / (off_t)device->length >= device->count ||
             length > device->length || !(flags & MAP_SHARED) || !(protection & PROT_READ)) errno = EINVAL;
    else mapped = real_map(start, length, protection, flags, fd, offset);
    for (int i = 0; mapped != MAP_FAILED && i < MOST_MAPPINGS; i++)
        if (!device->mapping[i].start) {
            device->mapping[i].start = mapped;
            device->mapping[i].fd = offset / device->length;
            break;
        }
    pthread_mutex_unlock(&lock);
    return mapped;
}

void *mmap(void *start, size_t length, int protection, int flags, int fd, off_t offset) {
    return fd < 0 ? REAL(mmap)(start, length, protection, flags, fd, offset)
                  : map(REAL(mmap), start, length, protection, flags, fd, offset);
}

void *mmap64(void *start, size_t length, int protection, int flags, int fd, off_t offset) {
    return mmap(start, length, protection, flags, fd, offset);
}

int munmap(void *start, size_t length) {
    for (int i = 0; i < MOST_DEVICES; i++)
        for (int j = 0; devices[i].control && j < MOST_MAPPINGS; j++)
            if (devices[i].mapping[j].start == start) devices[i].mapping[j].start = NULL;
    return REAL(munmap)(start, length);
}

static short events_of(struct device *device) {
    advance(device);
    if (device->gone) return POLLERR | POLLHUP | POLLPRI;
    if (!device->streaming || !device->ever_queued) return POLLERR;
    return device->ready ? POLLIN | POLLRDNORM : 0;
}

/* Wait in slices, asking the emulated devices and then the kernel about the others. */
static int wait_for(struct pollfd *fds, nfds_t count, long long timeout_ns) {
    long long end_ns = now_ns() + timeout_ns;
    for (;;) {
        struct timespec none = {0, 0}, slice = {0, SLICE_NS};
        struct pollfd others[count ? count : 1];
        short found[count ? count : 1];
        int answer = 0;
        pthread_mutex_lock(&lock);
        for (nfds_t i = 0; i < count; i++) {
            struct device *device = device_of(fds[i].fd);
            others[i] = fds[i];
            if (device) others[i].fd = -1;
            found[i] = device ? events_of(device) & (fds[i].events | POLLERR | POLLHUP) : 0;
            answer += found[i] != 0;
        }
        pthread_mutex_unlock(&lock);
        int real_answer = REAL(ppoll)(others, count, answer ? &none : &slice, NULL);
        if (real_answer < 0) return -1;
        if (answer || real_answer || (timeout_ns >= 0 && now_ns() >= end_ns)) {
            for (nfds_t i = 0; i < count; i++) fds[i].revents = others[i].fd < 0 ? found[i] : others[i].revents;
            return answer + real_answer;
        }
    }
}

static int any_device(const struct pollfd *fds, nfds_t count) {
    int any = 0;
    pthread_mutex_lock(&lock);
    for (nfds_t i = 0; i < count; i++) any |= device_of(fds[i].fd) != NULL;
    pthread_mutex_unlock(&lock);
    return any;
}

int poll(struct pollfd *fds, nfds_t count, int timeout_ms) {
    if (!any_device(fds, count)) return REAL(poll)(fds, count, timeout_ms);
    return wait_for(fds, count, timeout_ms < 0 ? -1 : timeout_ms * 1000000LL);
}

int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask) {
    if (!any_device(fds, count)) return REAL(ppoll)(fds, count, timeout, mask);
    return wait_for(fds, count, timeout ? timeout->tv_sec * 1000000000LL + timeout->tv_nsec : -1);
}

int select(int count, fd_set *reading, fd_set *writing, fd_set *except, struct timeval *timeout) {
    struct pollfd fds[FD_SETSIZE];
    nfds_t wanted = 0;
    for (int fd = 0; fd < count; fd++) {
        short events = 0;
        if (reading && FD_ISSET(fd, reading)) events |= POLLIN;
        if (writing && FD_ISSET(fd, writing)) events |= POLLOUT;
        if (except && FD_ISSET(fd, except)) events |= POLLPRI;
        if (events) fds[wanted++] = (struct pollfd){fd, events, 0};
    }
    if (!any_device(fds, wanted)) return REAL(select)(count, reading, writing, except, timeout);
    int answer = wait_for(fds, wanted, timeout ? timeout->tv_sec * 1000000000LL + timeout->tv_usec * 1000LL : -1);
    if (answer < 0) return answer;
    if (reading) FD_ZERO(reading);
    if (writing) FD_ZERO(writing);
    if (except) FD_ZERO(except);
    answer = 0;
    for (nfds_t i = 0; i < wanted; i++) {
        short asked = fds[i].events, events = fds[i].revents;
        if (asked & POLLIN && events & (POLLIN | POLLERR | POLLHUP)) FD_SET(fds[i].fd, reading), answer++;
        if (asked & POLLOUT && events & (POLLOUT | POLLERR)) FD_SET(fds[i].fd, writing), answer++;
        if (asked & POLLPRI && events & POLLPRI) FD_SET(fds[i].fd, except), answer++;
    }
    return answer;
}
