/* The other side in C: writes a wide string to named memory, or prints the one that is there; the same with a structure.
 *
 *     gcc -municode -o peer.exe peer.c
 *     peer.exe write demo "Message from C."           and, meanwhile,  python -m namedmap read demo
 *     python -m namedmap create demo "Message"        and, meanwhile,  peer.exe read demo
 *     peer.exe publish "Local\namedmap_telemetry"     and, meanwhile,  python examples/struct_reader.py
 *     python examples/struct_publisher.py             and, meanwhile,  peer.exe show "Local\namedmap_telemetry"
 *
 * "write" and "publish" hold the memory until their standard input has a line or ends; "read" and "show" print UTF-8.
 */
#include <windows.h>
#include <stdio.h>

#define SIZE 256 /* bytes */

#pragma pack(push, 4)
typedef struct { /* as in examples/struct_publisher.py */
    unsigned char version;
    unsigned int packet;
    float speed;
    double time;
    int gear;
    wchar_t track[32];
} Telemetry;
#pragma pack(pop)

static int failed(const char *what)
{
    fprintf(stderr, "%s failed: error %lu\n", what, GetLastError());
    return 1;
}

int wmain(int argc, wchar_t **argv)
{
    static const Telemetry telemetry = {1, 7, 99.5f, 0.25, -1, L"Suzuka"};
    int show = argc == 3 && wcscmp(argv[1], L"show") == 0, publish = argc == 3 && wcscmp(argv[1], L"publish") == 0;
    int read = show || (argc == 3 && wcscmp(argv[1], L"read") == 0);
    char text[3 * SIZE]; /* a UTF-16 unit takes up to three bytes in UTF-8 */
    wchar_t *view;
    Telemetry *record;
    HANDLE mapping;

    if (!read && !publish && !(argc == 4 && wcscmp(argv[1], L"write") == 0)) {
        fputs("usage: peer write NAME TEXT, peer read NAME, peer publish NAME, or peer show NAME\n", stderr);
        return 2;
    }
    mapping = read ? OpenFileMappingW(FILE_MAP_READ, FALSE, argv[2])
                   : CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, SIZE, argv[2]);
    if (mapping == NULL)
        return failed(read ? "OpenFileMapping" : "CreateFileMapping");
    view = MapViewOfFile(mapping, read ? FILE_MAP_READ : FILE_MAP_WRITE, 0, 0, SIZE);
    if (view == NULL)
        return failed("MapViewOfFile");
    record = (Telemetry *)view;
    if (read) {
        const wchar_t *from = show ? record->track : view;
        int length = (int)wcsnlen(from, show ? 32 : SIZE / sizeof(wchar_t));
        length = WideCharToMultiByte(CP_UTF8, 0, from, length, text, sizeof text, NULL, NULL);
        if (show)
            printf("%u %u %.2f %.2f %d ", record->version, record->packet, record->speed, record->time, record->gear);
        fwrite(text, 1, length, stdout);
    } else {
        if (publish) {
            *record = telemetry;
            wcscpy(record->track, L"Autodromo Nazionale di Monza");
            memset(record->track, 0xDD, sizeof record->track); /* what an old text leaves behind the NUL of a new one */
            wcscpy(record->track, telemetry.track);
        } else
            lstrcpynW(view, argv[3], SIZE / sizeof(wchar_t)); /* with its NUL */
        puts("ready");
        fflush(stdout);
        getchar();
    }
    UnmapViewOfFile(view);
    CloseHandle(mapping);
    return 0;
}
