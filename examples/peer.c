/* The other side in C: writes a wide string to named memory, or prints the one that is there.
 *
 *     gcc -municode -o peer.exe peer.c
 *     peer.exe write Local\demo "Message from C."    and, meanwhile,  python -m namedmap read Local\demo
 *     python -m namedmap create Local\demo "Message" and, meanwhile,  peer.exe read Local\demo
 *
 * "write" holds the memory until its standard input has a line or ends; "read" prints UTF-8.
 */
#include <windows.h>
#include <stdio.h>

#define SIZE 256 /* bytes */

static int failed(const char *what)
{
    fprintf(stderr, "%s failed: error %lu\n", what, GetLastError());
    return 1;
}

static int write_text(const wchar_t *name, const wchar_t *text)
{
    size_t length = (wcslen(text) + 1) * sizeof(wchar_t);
    HANDLE mapping;
    wchar_t *view;

    mapping = CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, SIZE, name);
    if (mapping == NULL)
        return failed("CreateFileMapping");
    view = MapViewOfFile(mapping, FILE_MAP_WRITE, 0, 0, SIZE);
    if (view == NULL)
        return failed("MapViewOfFile");
    memcpy(view, text, length < SIZE ? length : SIZE);
    puts("ready");
    fflush(stdout);
    getchar();
    UnmapViewOfFile(view);
    CloseHandle(mapping);
    return 0;
}

static int read_text(const wchar_t *name)
{
    char text[3 * SIZE]; /* a UTF-16 unit takes up to three bytes in UTF-8 */
    wchar_t *view;
    HANDLE mapping;
    int length;

    mapping = OpenFileMappingW(FILE_MAP_READ, FALSE, name);
    if (mapping == NULL)
        return failed("OpenFileMapping");
    view = MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, SIZE);
    if (view == NULL)
        return failed("MapViewOfFile");
    length = (int)wcsnlen(view, SIZE / sizeof(wchar_t));
    length = WideCharToMultiByte(CP_UTF8, 0, view, length, text, sizeof text, NULL, NULL);
    fwrite(text, 1, length, stdout);
    UnmapViewOfFile(view);
    CloseHandle(mapping);
    return 0;
}

int wmain(int argc, wchar_t **argv)
{
    if (argc == 4 && wcscmp(argv[1], L"write") == 0)
        return write_text(argv[2], argv[3]);
    if (argc == 3 && wcscmp(argv[1], L"read") == 0)
        return read_text(argv[2]);
    fputs("usage: peer write NAME TEXT, or peer read NAME\n", stderr);
    return 2;
}
